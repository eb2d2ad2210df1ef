"""The command `bootpilot`: its arguments and their help. What the commands do is in `commands.py` and its neighbours.

Nothing outside Python's own library is imported before a command runs: --help answers where nothing is installed yet, and no
command pays for another's imports (Flask and gunicorn take half a second).
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bootpilot_agent import __version__
from bootpilot_server.errors import DatabaseUnavailableError, OperatorError

if TYPE_CHECKING:
    from bootpilot_server.terminal import Terminal

DESCRIPTION = "The Bootpilot boot server: it hears which board asks, decides what that board boots, and tells you why."
EXAMPLES = """
examples:
  bootpilot artifact add vmlinuz               store a kernel; prints the lines for a profile
  bootpilot check site/                        what is wrong with a folder, by file and line
  bootpilot apply site/                        put it in force as the next revision
  bootpilot serve --listen '[::]:8080'         answer boards, and show them on a page
  bootpilot node list                          which boards there are and what they are doing
  bootpilot loader add new/                    publish a newer loader; no card needs to be written
  bootpilot explain 10000000abcdef01           why the board with this serial number gets what it gets

exit status:
  0 done    1 the answer is no (faults found, no such node)    2 wrong arguments    3 the server's folder cannot be used
"""

SITE = """
a folder of two files is enough (server-stub/README.md has every key):
  profiles/web.toml    expects = "payload-up"       what must be heard after the jump: payload-up, installed or none
                       [kernel]                     then the lines that `bootpilot artifact add FILE` prints
  rules/lab.toml       priority = 10                highest first; the first rule that matches wins
                       profile = "web"
                       admit = true                 boards that nobody has approved get it too
                       [match]                      every line must hold; none at all matches every board
                       arch = "arm64"
"""

PRUNE = """
kept is what the revision in force names, what plans of the last 7 days name, and what was added in the last 7 days
"""

LOADER = """
  scripts/build-initramfs arm64 -o new/
  bootpilot loader add new/ > site/loaders/arm64.toml
  bootpilot check site/ && bootpilot apply site/

Boards of that architecture then start the new loader from their card's one at every boot; no card is touched. A board on which
it fails three times in a row goes on with its card's loader: `bootpilot explain NODE` says so, `bootpilot node retry-loader
NODE` has it tried again.
"""

FORGET = """
A board that asks again after that is a new one, with a new id, and waits to be approved. So is a contradiction that is still
there: forget it once the boards that it names have been put right.
"""

Command = Callable[[argparse.Namespace, "Terminal"], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = make_parser().parse_args(argv)
    from bootpilot_server.server import default_home
    from bootpilot_server.terminal import Terminal

    terminal = Terminal(as_json=arguments.json)
    try:
        arguments.home = arguments.home or default_home(os.environ)
        return find_command(arguments.command)(arguments, terminal)
    except OperatorError as error:
        terminal.error(error.message, error.hint)
        return error.exit_code
    except DatabaseUnavailableError as error:
        terminal.error(f"the database cannot be used: {error}", "is another program holding it, or is the disk full?")
        return 3
    except BrokenPipeError:
        # Whoever read our output is gone (`| head`); the interpreter must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def find_command(name: str) -> Command:
    """`module:function` of this package."""
    module, _, function = name.partition(":")
    return cast("Command", getattr(importlib.import_module(f"bootpilot_server.{module}"), function))


def make_parser() -> argparse.ArgumentParser:
    """`--home` and `--json` are understood before and after the command."""
    parser = argparse.ArgumentParser(
        prog="bootpilot", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"bootpilot {__version__}")
    _add_common(parser, None, as_json=False)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(verbs)
    _add_artifact(verbs)
    _add_loader(verbs)
    check = _verb(verbs, "check", "commands:check_dir", "say what is wrong with a folder of profiles and rules", SITE)
    check.add_argument("dir", type=Path, metavar="DIR", help="the folder that holds profiles/, rules/ and loaders/")
    apply = _verb(verbs, "apply", "commands:apply_dir", "make a folder the next revision, whole or not at all", SITE)
    apply.add_argument("dir", type=Path, metavar="DIR", help="the folder that holds profiles/, rules/ and loaders/")
    explain = _verb(verbs, "explain", "node_commands:explain_node", "tell what a node would boot now, and why")
    explain.add_argument("node", metavar="NODE", help="a node id, its beginning, a serial number or a MAC address")
    _add_node(verbs)
    return parser


def _add_serve(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = _verb(verbs, "serve", "serve_command:serve", "answer boards and show the status page, until SIGTERM")
    serve.add_argument("--listen", metavar="ADDR:PORT", help="default: port 8080 of every address; port 0 takes a free one")
    serve.add_argument("--port-file", type=Path, metavar="FILE", help="write the port there once the server listens")
    serve.add_argument(
        "--certificate", type=Path, metavar="FILE", help="speak HTTPS with this certificate (PEM, and its chain)"
    )
    serve.add_argument("--key", type=Path, metavar="FILE", help="the certificate's key (PEM, without a password)")
    serve.add_argument("--allow-simulated", action="store_true", help="accept reports that say their identity is simulated")
    serve.add_argument(
        "--mirror", action="append", metavar="URL", help="a cache of /artifacts/ that plans name first; repeatable"
    )
    serve.add_argument(
        "--workers", type=_count, default=min(4, os.cpu_count() or 1), metavar="N", help="processes (%(default)s)"
    )
    serve.add_argument("--threads", type=_count, default=32, metavar="N", help="requests at once in each process (%(default)s)")


def _add_artifact(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "kernels, initrds and device trees, by digest"
    artifact = verbs.add_parser("artifact", help=text, description=_sentence(text))
    inner = artifact.add_subparsers(required=True, metavar="COMMAND")
    add = _verb(inner, "add", "commands:artifact_add", "store a file and print the lines that name it in a profile")
    add.add_argument("file", type=Path, metavar="FILE", help="a kernel (bzImage, Image, zImage), an initrd or a device tree")
    add.add_argument("--name", metavar="NAME", help="what people call it; the file's name if not given")
    remove = _verb(inner, "rm", "commands:artifact_rm", "delete artifacts that no profile in force and no recent plan names")
    remove.add_argument("digest", nargs="+", metavar="DIGEST", help="a digest, or 8 or more of its first characters")
    prune = _verb(inner, "prune", "commands:artifact_prune", "show what nobody needs any more; with --yes, delete it", PRUNE)
    prune.add_argument("--yes", action="store_true", help="delete what would be shown")
    listing = _verb(inner, "list", "commands:artifact_list", "show what is stored")
    listing.add_argument("--verify", action="store_true", help="read every file and compare it with its digest")


def _add_loader(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "newer loaders for boards whose card holds an older one"
    loader = verbs.add_parser("loader", help=text, description=_sentence(text))
    inner = loader.add_subparsers(required=True, metavar="COMMAND")
    add = _verb(inner, "add", "loader_commands:loader_add", "store a loader and print its loaders/ARCH.toml", LOADER)
    add.add_argument("dir", type=Path, metavar="DIR", help="the folder that scripts/build-initramfs ARCH -o DIR made")
    add.add_argument(
        "--console", action="append", default=[], metavar="NAME", help="e.g. ttyS0,115200: for boards whose firmware names none"
    )
    _verb(inner, "list", "loader_commands:loader_list", "the loaders in force, and how many boards run them")


def _add_node(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    node = verbs.add_parser("node", help="the boards this server knows", description=_sentence("the boards this server knows"))
    inner = node.add_subparsers(required=True, metavar="COMMAND")
    _verb(inner, "list", "node_commands:node_list", "one line for each node")
    which = "a node id, its beginning, a serial number or a MAC address"
    show = _verb(inner, "show", "node_commands:node_show", "one node with its last boot, events and history")
    show.add_argument("node", metavar="NODE", help=which)
    approve = _verb(inner, "approve", "node_commands:node_approve", "let nodes have what rules give them")
    approve.add_argument("node", nargs="+", metavar="NODE", help=which)
    retry = _verb(
        inner, "retry-loader", "node_commands:node_retry_loader", "offer newer loaders again to nodes on which they failed"
    )
    retry.add_argument("node", nargs="+", metavar="NODE", help=which)
    forget = _verb(inner, "forget", "node_commands:node_forget", "delete nodes with their boots, logs and history", FORGET)
    forget.add_argument("node", nargs="+", metavar="NODE", help=which)
    forget.add_argument("--yes", action="store_true", help="do not ask")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: str, text: str, more: str = ""
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name, help=text, description=_sentence(text), epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=command)
    # SUPPRESS: given here it wins, not given it leaves alone what stood before the command.
    _add_common(parser, argparse.SUPPRESS, as_json=argparse.SUPPRESS)
    return parser


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _add_common(parser: argparse.ArgumentParser, home: object, *, as_json: object) -> None:
    text = "the server's folder; else BOOTPILOT_HOME, else ~/.local/share/bootpilot"
    parser.add_argument("--home", type=Path, default=home, metavar="DIR", help=text)
    parser.add_argument("--json", action="store_true", default=as_json, help="answer in JSON")


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0
    if not 1 <= number <= 1024:
        raise argparse.ArgumentTypeError("expected a number from 1 to 1024")
    return number
