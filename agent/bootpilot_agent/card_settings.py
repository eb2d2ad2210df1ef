"""bootpilot.txt: its text, whole or damaged, and the certificates beside it. No I/O here; card.py reads the card."""

import re
import tomllib
from collections.abc import Mapping

from bootpilot_agent import setting_values as kinds
from bootpilot_agent.raw_settings import RawSettings, SettingProblem, shown
from bootpilot_agent.setting_values import Raw

CARD_FILE = "bootpilot.txt"
MAX_CARD_BYTES = 64 * 1024
asks_for_https = re.compile(r"\bhttps\b", re.IGNORECASE).search


def read_card(raw: bytes, beside: Mapping[str, bytes] | None = None) -> RawSettings:
    """The text of bootpilot.txt, and the certificates' files beside it by name.

    A file with broken TOML is named with its line, and the lines that can be read still count. An empty one is not whole: the
    builder's has a comment for each setting.
    """
    problems = []
    if len(raw) > MAX_CARD_BYTES:
        problems.append(SettingProblem(CARD_FILE, f"{len(raw)} bytes", f"at most {MAX_CARD_BYTES} bytes", "card"))
        raw = raw[:MAX_CARD_BYTES]
    text = _decode(raw)
    try:
        values: dict[str, Raw] = dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problems.append(_broken_toml(text, error))
        values = {**_unreadable(text), **_readable_lines(text)}
    if name := kinds.file_name(values.get("ca")):
        values["ca"] = kinds.pem_text(beside[name]) if beside and name in beside else name
    whole = not problems and bool(text.strip())
    return RawSettings(values, {key: _place(text, key) for key in values}, tuple(problems), whole)


def _decode(raw: bytes) -> str:
    # Windows Notepad writes a UTF-8 BOM, older ones UTF-16 for "Unicode".
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    return raw.decode("utf-8-sig", errors="replace")


def _broken_toml(text: str, error: Exception) -> SettingProblem:
    found = re.search(r"\(at line (\d+), column \d+\)", str(error))
    lines = text.splitlines()
    number = int(found[1]) if found else len(lines)
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    reason = re.sub(r" \(at .*\)$", "", str(error))
    return SettingProblem(CARD_FILE, shown(line), f"`key = value` in TOML ({reason})", f"{CARD_FILE} line {number}")


def _readable_lines(text: str) -> dict[str, Raw]:
    values: dict[str, Raw] = {}
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            break
        try:
            values.update(tomllib.loads(line))
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    return values


def _unreadable(text: str) -> dict[str, Raw]:
    """What a broken file still tells: that it asks for a CA, or for https. Or else the board would believe more than it may."""
    found: dict[str, Raw] = {}
    spoken = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    if re.search(r"^\s*[\"']?ca[\"']?\s*=", spoken, re.MULTILINE):
        found["ca"] = None
    if asks_for_https(spoken):
        found["server"] = "https:"
    return found


def _place(text: str, key: str) -> str:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*\[?\s*[\"']?{re.escape(key)}[\"']?\s*[=.\]]", line):
            return f"{CARD_FILE} line {number}"
    return CARD_FILE
