"""What a person types after scripts/build-sdcard, and what it says about the card's settings. Reads the files it names."""

import argparse
import ipaddress
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bootpilot_agent.card_settings import read_card
from bootpilot_agent.raw_settings import CARD
from bootpilot_agent.settings import ROWS
from scripts.sdcard.errors import CardError
from scripts.sdcard.texts import SettingValue, settings_text


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; ends the program for --help and for wrong arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not (options.board or options.list or options.explain or options.verify):
        parser.error("name a board, or use --list, --explain BOARD or --verify IMAGE")
    if options.size_mib < 0:
        parser.error(f"argument --size-mib: {options.size_mib} is no size")
    return options


def card_settings(
    file: Path | None, servers: Sequence[str], assignments: Sequence[str], ca: Path | None
) -> dict[str, SettingValue]:
    """The settings of a file, then --set, --server and --ca on top. Raises CardError for what the agent would not take."""
    values = _file_settings(file) if file else {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise CardError(f"--set {assignment}: expected KEY=VALUE")
        values[key] = _value(text)
    if servers:
        values["server"] = list(servers)
    if ca:
        values["ca"] = _certificate(ca)
    settings_text(values)  # nobody wants to hear of a wrong one after minutes of building
    return values


def server_warnings(settings: Mapping[str, SettingValue]) -> list[str]:
    """What will hurt later: a card is written once, and addresses change."""
    servers = settings.get("server", [])
    urls = [servers] if isinstance(servers, str) else [str(url) for url in servers] if isinstance(servers, list) else []
    bare = [url for url in urls if _is_address(urlsplit(url).hostname or "")]
    warnings = [f"{url} is a bare address: when it changes, every card must be edited; a name can move" for url in bare]
    if "ca" in settings and not any(url.startswith("https:") for url in urls):
        warnings.append("a CA is set, but no https server: it counts for https only")
    return warnings


def _file_settings(file: Path) -> dict[str, SettingValue]:
    raw = read_card(file.read_bytes())
    if raw.problems:
        raise CardError(f"{file}: {'; '.join(str(problem) for problem in raw.problems)}")
    wrong = [key for key, value in raw.values.items() if not isinstance(value, str | list | int | bool)]
    if wrong:
        raise CardError(f"{file}: {wrong[0]} is neither text, number, list nor true or false")
    return {key: value for key, value in raw.values.items() if isinstance(value, str | list | int | bool)}


def _certificate(path: Path) -> str:
    text = path.read_text(encoding="ascii", errors="replace")
    if "-----BEGIN CERTIFICATE-----" not in text:
        hint = "openssl x509 -inform DER -in FILE turns a binary one into PEM"
        raise CardError(f"{path} holds no certificate in PEM form", hint)
    if "PRIVATE KEY-----" in text:
        raise CardError(f"{path} holds a private key: anybody could read it on the card", "give the certificate alone")
    return text


def _value(text: str) -> SettingValue:
    # As TOML where it is TOML (numbers, true, lists), else the text itself: nobody likes quotes within quotes in a shell.
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, str | list | int | bool) else text


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    keys = ", ".join(row.key for row in ROWS.values() if CARD in row.where)
    parser = argparse.ArgumentParser(
        prog="build-sdcard",
        description="Make the SD card of a board, or an image of it. Making an image needs no root.",
        epilog="What is built stays in ~/.cache/bootpilot: a second card takes seconds and no network.",
    )
    add = parser.add_argument
    add("board", nargs="?", metavar="BOARD", help="which board the card is for (see --list)")
    look = parser.add_argument_group("to look at things")
    look.add_argument("--list", action="store_true", help="all boards")
    look.add_argument("--explain", metavar="BOARD", help="what is on a board's card, where, and why")
    look.add_argument(
        "--verify", type=Path, metavar="IMAGE", help="compare an image or a card (/dev/sdX) with what was written"
    )
    target = parser.add_argument_group("where to")
    target.add_argument("-o", "--output", type=Path, metavar="IMAGE", help="image file (default: bootpilot-BOARD.img)")
    target.add_argument(
        "--only-image", action="store_true", help="no compressed copy, block map, manifest and checksums beside it"
    )
    target.add_argument("--device", type=Path, metavar="/dev/sdX", help="write the card itself; shows what is on it and asks")
    target.add_argument("--yes", action="store_true", help="do not ask")
    target.add_argument("--force", action="store_true", help="write to a disk that is fixed, or larger than 256 GB, too")
    target.add_argument("--size-mib", type=int, default=0, metavar="N", help="size (default: the smallest power of two)")
    card = parser.add_argument_group("settings of the card (bootpilot.txt)")
    card.add_argument("--server", action="append", default=[], metavar="URL", help="boot server; without one, DHCP names it")
    card.add_argument("--settings", type=Path, metavar="FILE", help="a bootpilot.txt to start from")
    card.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"one setting: {keys}")
    card.add_argument("--ca", type=Path, metavar="FILE", help="PEM of the CA that https servers must show")
    parts = parser.add_argument_group("other parts")
    parts.add_argument(
        "--loader-kernel",
        default="",
        metavar="KERNEL",
        help="another Debian kernel: of another release (trixie), by package (linux-image-arm64/trixie), or a .deb",
    )
    parts.add_argument("--firmware", type=Path, metavar="DIR", help="take the firmware's files from here, where it has them")
    parts.add_argument(
        "--fdt", default="", metavar="NAME", help="this one of the board's device trees, whatever firmware thinks"
    )
    parts.add_argument("--argument", action="append", default=[], metavar="WORD", help="a word for the loader's kernel")
    parts.add_argument("--extra-initrd", action="append", default=[], type=Path, metavar="FILE", help="append to the initramfs")
    parts.add_argument(
        "--identity", type=Path, metavar="TREE", help="for tests: a captured board's tree; reports say simulated"
    )
    return parser
