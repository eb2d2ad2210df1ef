"""The command line of `scripts/build-sdcard`: arguments -> loader -> card image."""

import argparse
import sys
import tomllib
from pathlib import Path

from bootpilot_agent.errors import AgentError
from initramfs.build import BuildOptions, build_loader
from initramfs.errors import BuildError
from scripts.sdcard.board import MIB
from scripts.sdcard.boards import BOARDS
from scripts.sdcard.build import CardOptions, LoaderFiles, build_card
from scripts.sdcard.errors import CardError


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 with the reason on stderr."""
    options = _parser().parse_args(arguments)
    board = BOARDS[options.board]
    try:
        card = CardOptions(_settings(options.server, options.set), tuple(options.argument), options.size_mib * MIB)
        loader = build_loader(board.arch, BuildOptions())
        layout = build_card(
            board,
            LoaderFiles(loader.kernel, loader.initramfs, loader.dtbs, loader.build_id, loader.kernel_version),
            card,
            options.output,
        )
    except (AgentError, BuildError, CardError) as error:
        print(f"build-sdcard: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {layout.card_bytes // MIB} MiB, {board.title}, PARTUUID {layout.partuuid}")
    print(f"write it with: sudo dd if={options.output} of=/dev/YOUR-CARD bs=4M conv=fsync status=progress")
    return 0


def _settings(servers: list[str], assignments: list[str]) -> dict[str, str | list[str] | int | bool]:
    values: dict[str, str | list[str] | int | bool] = {"server": servers} if servers else {}
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        values[key] = _value(text)
    return values


def _value(text: str) -> str | list[str] | int | bool:
    # As TOML where it is TOML (numbers, true, lists), else the text itself: nobody likes quotes within quotes in a shell.
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, str | list | int | bool) else text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build-sdcard", description="Make the SD-card image of a board, without root.")
    parser.add_argument("board", choices=sorted(BOARDS), help="which board the card is for")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="IMAGE", help="the image file to write")
    parser.add_argument("--server", action="append", default=[], metavar="URL", help="boot server; without one, DHCP names it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting of bootpilot.txt")
    parser.add_argument("--argument", action="append", default=[], metavar="WORD", help="a word for the loader kernel")
    parser.add_argument(
        "--size-mib", type=int, default=0, metavar="N", help="card size, a power of two (default: as small as it can)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
