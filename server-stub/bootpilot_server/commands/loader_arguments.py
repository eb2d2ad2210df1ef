"""The words of `bootpilot loader ...`."""

from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, sentence, verb

LOADER = """
  scripts/build-initramfs arm64 -o new/
  bootpilot loader add new/ > site/loaders/arm64.toml
  bootpilot check site/ && bootpilot apply site/

Boards of that architecture then start the new loader from their card's one at every boot; no card is touched. A board on which
it fails three times in a row goes on with its card's loader: `bootpilot explain NODE` says so, `bootpilot node retry-loader
NODE` has it tried again.
"""


def add_arguments(verbs: Verbs) -> None:
    text = "newer loaders for boards whose card holds an older one"
    loader = verbs.add_parser("loader", help=text, description=sentence(text))
    inner = loader.add_subparsers(required=True, metavar="COMMAND")
    add = verb(inner, "add", "loader_commands:loader_add", "store a loader and print its loaders/ARCH.toml", LOADER)
    add.add_argument("dir", type=Path, metavar="DIR", help="the folder that scripts/build-initramfs ARCH -o DIR made")
    add.add_argument(
        "--console", action="append", default=[], metavar="NAME", help="e.g. ttyS0,115200: for boards whose firmware names none"
    )
    verb(inner, "list", "loader_commands:loader_list", "the loaders in force, and how many boards run them")
