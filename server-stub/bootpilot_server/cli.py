"""The command `bootpilot`: the words of its commands are in commands/*_arguments.py, what they do in commands/*_commands.py.

Nothing outside Python's own library is imported before a command runs: --help answers where nothing is installed yet, and no
command pays for another's imports (Flask and gunicorn take half a second).
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from bootpilot_agent import __version__
from bootpilot_server.commands import (
    artifact_arguments,
    doctor_arguments,
    enrolment_arguments,
    happening_arguments,
    importing_arguments,
    keeping_arguments,
    loader_arguments,
    node_arguments,
    recording_arguments,
    rollout_arguments,
    serve_arguments,
    site_arguments,
)
from bootpilot_server.commands.arguments import add_common
from bootpilot_server.errors import DatabaseUnavailableError, OperatorError

if TYPE_CHECKING:
    from bootpilot_server.commands.terminal import Terminal

DESCRIPTION = "The Bootpilot boot server: it hears which board asks, decides what that board boots, and tells you why."
EXAMPLES = """
examples:
  bootpilot artifact add vmlinuz               store a kernel; prints the lines for a profile
  bootpilot check site/                        what is wrong with a folder, by file and line
  bootpilot apply site/                        put it in force as the next revision
  bootpilot serve --listen '[::]:8080'         answer boards, and show them on a page
  bootpilot node list                          which boards there are and what they are doing
  bootpilot loader add new/                    publish a newer loader; no card needs to be written
  bootpilot node missing --since 2h            boards that did not come back
  bootpilot recording show 10000000abcdef01    what a board that failed did, heard and was answered
  bootpilot backup /backup/boot.tar            all that the server knows, in one file, while it runs
  bootpilot doctor                             what is wrong with this server and its network, and what to do
  bootpilot explain 10000000abcdef01           why the board with this serial number gets what it gets

exit status:
  0 done    1 the answer is no (faults found, no such node)    2 wrong arguments    3 the server's folder cannot be used
"""

# In the order of --help.
GROUPS = (
    serve_arguments,
    artifact_arguments,
    importing_arguments,
    loader_arguments,
    site_arguments,
    node_arguments,
    enrolment_arguments,
    happening_arguments,
    recording_arguments,
    keeping_arguments,
    doctor_arguments,
    rollout_arguments,
)

Command = Callable[[argparse.Namespace, "Terminal"], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = make_parser().parse_args(argv)
    from bootpilot_server.commands.terminal import Terminal
    from bootpilot_server.server import default_home

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
    """`module:function` of the commands."""
    module, _, function = name.partition(":")
    return cast("Command", getattr(importlib.import_module(f"bootpilot_server.commands.{module}"), function))


def make_parser() -> argparse.ArgumentParser:
    """`--home` and `--json` are understood before and after the command."""
    parser = argparse.ArgumentParser(
        prog="bootpilot", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"bootpilot {__version__}")
    add_common(parser, None, as_json=False)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add_arguments(verbs)
    return parser
