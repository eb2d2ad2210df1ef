"""The words of `bootpilot check`, `apply`, `rollback`, `revisions` and `diff`."""

import argparse
from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, add_deed, verb

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
APPLY = """
what it would change is shown first: how many nodes get another plan at their next boot, whose disks are written, who would wait.
Where more nodes than `ask_above` in server.toml (20) change, it asks; without a terminal it refuses unless --yes is given.
  bootpilot apply site/ --dry-run        only show it
  bootpilot apply site/ --against 7      only if revision 7 is still in force, whatever others do meanwhile
  bootpilot rollback                     the revision before, again
"""
ROLLBACK = """
an earlier revision's content becomes the next revision: history only grows. Without a number it is the one before the one in force.
"""
DIFF = """
  bootpilot diff              what the revision in force changed
  bootpilot diff 7            from revision 7 to the one in force
  bootpilot diff 7 9          from 7 to 9
  bootpilot diff site/        from the revision in force to what `bootpilot apply site/` would make of it
"""
FOLDER = "the folder that holds profiles/, rules/ and loaders/"


def add_arguments(verbs: Verbs) -> None:
    check = verb(verbs, "check", "site_commands:check_dir", "say what is wrong with a folder of profiles and rules", SITE)
    check.add_argument("dir", type=Path, metavar="DIR", help=FOLDER)
    apply = verb(
        verbs, "apply", "site_commands:apply_dir", "make a folder the next revision, whole or not at all", APPLY + SITE
    )
    apply.add_argument("dir", type=Path, metavar="DIR", help=FOLDER)
    _add_caution(apply)
    rollback = verb(verbs, "rollback", "site_commands:rollback", "put an earlier revision in force again", ROLLBACK)
    rollback.add_argument("number", nargs="?", type=int, metavar="N", help="the revision; the one before if not given")
    _add_caution(rollback)
    listing = verb(verbs, "revisions", "revision_commands:revisions", "who put what in force, when, and which files changed")
    listing.add_argument("--last", type=int, default=20, metavar="N", help="how many, newest first (20)")
    diff = verb(verbs, "diff", "revision_commands:diff", "what differs between two revisions, or from a folder", DIFF)
    diff.add_argument("what", nargs="*", metavar="N|DIR", help="up to two revisions, or a folder")


def _add_caution(parser: argparse.ArgumentParser) -> None:
    add_deed(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--against", type=int, metavar="N", help="only if revision N is the one in force")
