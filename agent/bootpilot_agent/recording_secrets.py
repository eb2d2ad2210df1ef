"""What must never stand in a recording, one table with a reason beside each row. No I/O here.

Everything passes through here on its way in, not later: a recording can be read by whoever reads the server's pages. What a
rule finds once is taken out everywhere from then on. The stand-ins have the form of what they stand for, so that a recording
can be replayed, and two places with the same value still have the same.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bootpilot_agent.card_settings import CARD_FILE, MAX_CARD_BYTES, read_card
from bootpilot_agent.fields import Json

STAND_IN = "REDACTED"
ENROL_STAND_IN = "redacted:redacted-redacted"
# Shorter ones would be found in words that are none; the rules by place take those out.
LEAST_LEARNT = 8
MOST_LEARNT = 256


@dataclass(frozen=True)
class SecretField:
    """A field of a JSON body or file. `stand_in` is its text; "" for a number of 64 hex digits, another for each value."""

    name: str
    stand_in: str
    reason: str


@dataclass(frozen=True)
class SecretText:
    """What is taken out of any text that has the `sign` in it, wherever it comes from."""

    sign: bytes
    pattern: bytes
    stand_in: bytes
    reason: str


SECRET_HEADERS = {
    "authorization": "whoever has a boot's token speaks for the board until its next boot",
    "proxy-authorization": "a password of the site",
    "cookie": "the agent sends none; a proxy in between may put its own in",
    "set-cookie": "as cookie",
}
SECRET_FIELDS = (
    SecretField("token", STAND_IN, "as the header: it is the same token, in a plan and in boot.json"),
    SecretField("enrol", ENROL_STAND_IN, "lets unknown boards in for as long as its batch is open"),
    SecretField("nonce", "", "the whole question asked again gets the stored plan, token and all, while that is valid"),
)
SECRET_TEXTS = (
    SecretText(
        b"PRIVATE KEY",
        rb"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        rb"\1 REDACTED \2",
        "nothing of the agent's reads a key, but somebody may put the wrong file beside bootpilot.txt",
    ),
    SecretText(b"://", rb"(://)[^/@\s\"'<>]{1,256}@", rb"\1REDACTED@", "a name and password in a URL"),
)
# Of the card's settings; also where the file is damaged, commented out, or a value runs over several lines.
CARD_ENROL = re.compile(rb"(?is)(enrol\b[\"']?)(\s*[=:]\s*(\"\"\".*?(\"\"\"|\Z)|'''.*?('''|\Z))|[^\r\n]*)")
# Files of a plan hold passwords; the rest of such a file is known to many, so its digest tells a short secret by trying.
PLAN_FILES = ("boot", "files")
DIGEST = re.compile(r"[0-9a-f]{64}")


class Secrets:
    """The secrets of one run of the agent, as far as they are known. Used by one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        self._numbers = 0

    def learn(self, value: str, stand_in: str = STAND_IN) -> None:
        """From now on take this value out of everything."""
        raw = value.encode("utf-8", "replace")
        if len(raw) < LEAST_LEARNT or value == stand_in:
            return
        self._known[raw] = self._known.pop(raw, stand_in.encode())
        # A board that waits for months has a nonce for each question; what is seen again and again stays.
        if len(self._known) > MOST_LEARNT:
            del self._known[next(iter(self._known))]

    def copy(self) -> "Secrets":
        """Those that are known now."""
        other = Secrets()
        other._known, other._numbers = dict(self._known), self._numbers
        return other

    def clean(self, content: bytes) -> bytes:
        """Any bytes, without the secrets that are known and those that can be told by their form."""
        for row in SECRET_TEXTS:
            if row.sign in content:
                content = re.sub(row.pattern, row.stand_in, content, flags=re.DOTALL)
        return self.clean_known(content)

    def clean_known(self, content: bytes) -> bytes:
        """Without the values that are known by now; for a line that was cleaned before they were."""
        for value, stand_in in self._known.items():
            content = content.replace(value, stand_in)
        return content

    def clean_text(self, text: str) -> str:
        """The same for text; what UTF-8 has no form for is replaced."""
        return self.clean(text.encode("utf-8", "replace")).decode()

    def clean_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Names stay, in the order given."""
        return {
            self.clean_text(name): STAND_IN if name.lower() in SECRET_HEADERS else self.clean_text(value)
            for name, value in headers.items()
        }

    def clean_body(self, content: bytes) -> bytes:
        """A body of the protocol, or a file in JSON, whole or cut short."""
        try:
            value: Json = json.loads(content)
        except (ValueError, RecursionError):
            value = None
        self._learn_fields(value)
        self._learn_plan_files(value)
        for row in SECRET_FIELDS:
            content = self._clean_field(content, row)
        return self.clean(content)

    def clean_card(self, content: bytes) -> bytes:
        """bootpilot.txt, in UTF-8 or UTF-16."""
        enrol = read_card(content[:MAX_CARD_BYTES]).values.get("enrol")
        if isinstance(enrol, str):
            self.learn(enrol, ENROL_STAND_IN)
            self.learn(enrol.partition(":")[2], ENROL_STAND_IN.partition(":")[2])
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        plain = content.decode("utf-16", "replace").encode("utf-8", "replace") if wide else content
        stand_in = rb'\1 = "' + ENROL_STAND_IN.encode() + b'"'
        cleaned = self.clean(CARD_ENROL.sub(stand_in, plain))
        if cleaned == plain:
            return content
        return cleaned.decode("utf-8", "replace").encode("utf-16") if wide else cleaned

    def clean_file(self, path: str, content: bytes) -> bytes:
        """What was read at this path below the root."""
        name = path.rpartition("/")[2]
        if name == CARD_FILE or "/card/" in f"/{path}":
            return self.clean_card(content)
        return self.clean_body(content) if name.endswith(".json") else self.clean(content)

    def _learn_fields(self, value: Json) -> None:
        for name, text in _texts_of(value):
            for row in SECRET_FIELDS:
                if name == row.name:
                    self._learn_once(text, row.stand_in)

    def _learn_plan_files(self, value: Json) -> None:
        for key in PLAN_FILES:
            value = value.get(key) if isinstance(value, dict) else None
        for file in value if isinstance(value, list) else ():
            for _, text in _texts_of(file):
                for digest in DIGEST.findall(text):
                    self._learn_once(digest, "")

    def _learn_once(self, text: str, stand_in: str) -> str:
        """What stands for this text from now on."""
        known = self._known.get(text.encode("utf-8", "replace"))
        if known is None and not stand_in:
            self._numbers += 1
        chosen = known.decode() if known else stand_in or f"{self._numbers:064x}"
        self.learn(text, chosen)
        return chosen

    def _clean_field(self, content: bytes, row: SecretField) -> bytes:
        """By its place, also where the rest is no JSON, and the value is short or breaks off."""

        def replace(found: re.Match[bytes]) -> bytes:
            text = found[2].decode("utf-8", "replace")
            return found[1] + (self._learn_once(text, row.stand_in).encode() if text else b"") + found[3]

        return re.sub(rb'("' + row.name.encode() + rb'"\s*:\s*")((?:[^"\\]|\\.)*)("?)', replace, content, flags=re.DOTALL)


def _texts_of(value: Json) -> Iterator[tuple[str, str]]:
    """Every text in an object, at any depth, with its key."""
    waiting: list[tuple[str, Json]] = [("", value)]
    while waiting:
        name, inner = waiting.pop()
        if isinstance(inner, str):
            yield name, inner
        elif isinstance(inner, dict):
            waiting.extend(inner.items())
        elif isinstance(inner, list):
            waiting.extend((name, one) for one in inner)
