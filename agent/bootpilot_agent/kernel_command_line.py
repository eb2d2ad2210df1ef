"""The words of a kernel command line, read as the kernel reads them, and the `bootpilot.*` settings in them. No I/O here."""

from bootpilot_agent.raw_settings import RawSettings
from bootpilot_agent.setting_values import Raw


def read_command_line(text: str) -> RawSettings:
    """The `bootpilot.KEY[=VALUE]` words of a kernel command line; of one key given twice the last counts, as in the kernel."""
    values: dict[str, Raw] = {}
    for name, value in split_command_line(text):
        prefix, _, key = name.partition(".")
        if prefix == "bootpilot":
            values[key.replace("-", "_")] = value  # the kernel takes '-' and '_' for the same (parameqn)
    return RawSettings(values, dict.fromkeys(values, "kernel command line"))


def own_words(text: str) -> tuple[str, ...]:
    """The `bootpilot.*` words of a kernel command line as they can stand on another one, for a loader that follows this one."""
    found = [(name, value) for name, value in split_command_line(text) if name.startswith("bootpilot.")]
    return tuple(name if value is None else f'"{name}={value}"' if " " in value else f"{name}={value}" for name, value in found)


def split_command_line(text: str) -> list[tuple[str, str | None]]:
    """Words of a kernel command line as (name, value or None), quotes handled as next_arg() in lib/cmdline.c does."""
    words: list[str] = []
    current, quoted = "", False
    for char in text:
        if char.isspace() and not quoted:
            words.append(current)
            current = ""
            continue
        quoted ^= char == '"'
        current += char
    return [_split_word(word) for word in [*words, current] if word]


def _split_word(word: str) -> tuple[str, str | None]:
    if word.startswith('"'):
        word = word[1:].removesuffix('"')
    name, equals, value = word.partition("=")
    if not equals:
        return name, None
    return name, value[1:].removesuffix('"') if value.startswith('"') else value
