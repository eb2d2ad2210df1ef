"""Takes a grub.cfg apart into commands and blocks: words, quotes, comments, braces. Runs nothing of it. No I/O here.

What a generated file looks like is grub.py's; the lexical rules are those of GRUB's manual, "Shell-like scripting".
"""

import re
from dataclasses import dataclass, field

from bootpilot_agent.boot_files.entry import BootFileError

MAX_COMMANDS = 20_000
# Of a word with its variables' values: two that double each other must not fill the memory. No command line is longer.
MAX_WORD = 4096
DEEPEST = 16
# A variable in a word, as `\0NAME\0`: what stood between single quotes has none.
_VARIABLE = re.compile("\0([^\0]*)\0")
_TOKEN = re.compile(
    r"(?P<blank>[ \t\r]+|\\\n)"
    r"|(?P<comment>(?<![^\s;{}])#[^\n]*)"
    r"|(?P<end>[\n;]+)"
    r"|'(?P<single>[^']*)'"
    r'|"(?P<double>(?:[^"\\]|\\.)*)"'
    r"|\\(?P<escaped>.)"
    r"|\$(?:\{(?P<braced>[^}\n]{0,64})\}|(?P<name>[A-Za-z_]\w*|[0-9?@*#]))"
    r"|(?P<plain>[^ \t\r\n;'\"\\$]+|[$'\"\\])",
    re.DOTALL,
)
_DOUBLE = re.compile(r"\\([$\"\\\n])|\$(?:\{([^}\n]{0,64})\}|([A-Za-z_]\w*))")
# Words before a command that only say when it is run.
_LEADING = frozenset({"then", "else", "do", "!"})
_OPENING = frozenset({"menuentry", "submenu", "function"})


@dataclass
class Command:
    """Its words, and for menuentry, submenu and function the commands in its block."""

    words: list[str]
    block: list["Command"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0]


def read_script(text: str) -> list[Command]:
    """All commands, blocks nested. Conditions are not decided: what stands in an `if` is there. Raises BootFileError."""
    top: list[Command] = []
    open_blocks = [top]
    for count, words in enumerate(_commands(text)):
        if count >= MAX_COMMANDS:
            raise BootFileError(f"more than {MAX_COMMANDS} commands")
        if words[0] == "}":
            if len(open_blocks) > 1:
                open_blocks.pop()
            continue
        command = Command([word for word in words if word != "{"] or words)
        open_blocks[-1].append(command)
        if command.name in _OPENING and words[-1] == "{":
            if len(open_blocks) > DEEPEST:
                raise BootFileError(f"blocks nested more than {DEEPEST} deep")
            open_blocks.append(command.block)
    return top


def expand(word: str, variables: dict[str, str]) -> str:
    """The word with its variables' values; one that nobody set is nothing."""
    return _VARIABLE.sub(lambda found: variables.get(found[1], ""), word)[:MAX_WORD]


def is_about(word: str, variable: str) -> bool:
    """Does the word hold this variable?"""
    return f"\0{variable}\0" in word


def _commands(text: str) -> list[list[str]]:
    found: list[list[str]] = []
    words: list[str] = []
    word: str | None = None
    for token in _TOKEN.finditer(text.replace("\0", "")):
        kind = token.lastgroup
        if kind in ("blank", "comment", "end"):
            _end_word(words, word)
            word = None
            if kind == "end":
                _end_command(found, words)
                words = []
        elif kind == "plain" and token[0] in ("{", "}") and word is None:
            words.append(token[0])
            if token[0] == "{":  # the commands of a block begin on the same line
                _end_command(found, words)
                words = []
        else:
            word = (word or "") + _value(token)
            if len(word) > MAX_WORD:
                raise BootFileError(f"a word of more than {MAX_WORD} characters")
    _end_word(words, word)
    _end_command(found, words)
    return found


def _end_word(words: list[str], word: str | None) -> None:
    if word is not None:
        words.append(word)


def _end_command(found: list[list[str]], words: list[str]) -> None:
    while words and words[0] in _LEADING:
        words.pop(0)
    if words:
        found.append(words)


def _value(token: re.Match[str]) -> str:
    kind = token.lastgroup
    if kind == "double":
        return _DOUBLE.sub(_in_double, token["double"])
    if kind in ("braced", "name"):
        return f"\0{token[kind]}\0"
    return token[kind or 0]


def _in_double(found: re.Match[str]) -> str:
    if found[1] is not None:
        return "" if found[1] == "\n" else found[1]
    return f"\0{found[2] or found[3]}\0"
