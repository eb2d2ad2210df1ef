"""The words of `bootpilot check`, `apply`, `rollback`, `revisions`, `diff`, `render` and `secret`."""

import argparse
from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, add_deed, sentence, verb

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
what it would change is shown first: how many nodes get another plan at their next boot, whose disks are written, who waits.
Where more nodes than `ask_above` in server.toml (20) change, it asks; without a terminal it refuses unless --yes is given.
  bootpilot apply site/ --dry-run        only show it
  bootpilot apply site/ --against 7      only if revision 7 is still in force, whatever others do meanwhile
  bootpilot rollback                     the revision before, again
"""
ROLLBACK = """
an earlier revision's content becomes the next revision: history only grows. Without a number it is the one before the last.
"""
DIFF = """
  bootpilot diff              what the revision in force changed
  bootpilot diff 7            from revision 7 to the one in force
  bootpilot diff 7 9          from 7 to 9
  bootpilot diff site/        from the revision in force to what `bootpilot apply site/` would make of it
"""
RENDER = """
  bootpilot render 10000000abcdef01                    the files of the profile that this board would get
  bootpilot render rack7-03 --profile debian --path /preseed.cfg
  bootpilot render rack7-03 --site site/               of a folder that is not in force yet
a secret is shown as ***NAME***
"""
SECRETS = """
HOME/secrets.toml says where each secret is; a template names it with {{ secret("root-password") }}:
  [root-password]
  file = "/etc/bootpilot/root-password"        or environment = "NAME", or command = ["vault", "kv", "get", ...]
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
    _add_render(verbs)
    secret = verbs.add_parser("secret", help="what templates may name and nobody sees", description=sentence("secrets"))
    secrets = verb(
        secret.add_subparsers(required=True, metavar="COMMAND"),
        "list",
        "render_commands:secret_list",
        "which secrets there are and who uses them; never what they are",
        SECRETS,
    )
    secrets.add_argument("--try", dest="read", action="store_true", help="read each of them, and say whether it can be had")


def _add_render(verbs: Verbs) -> None:
    render = verb(verbs, "render", "render_commands:render", "show the files that a node's payload would find", RENDER)
    render.add_argument("node", metavar="NODE", help="a node id, its beginning, a serial number, a MAC address or a name")
    render.add_argument("--profile", metavar="NAME", help="of this profile, not of the one that the node would get")
    render.add_argument("--site", type=Path, metavar="DIR", help="of this folder, not of the revision in force")
    render.add_argument("--path", metavar="PATH", help="only this file, and nothing but its content")


def _add_caution(parser: argparse.ArgumentParser) -> None:
    add_deed(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--against", type=int, metavar="N", help="only if revision N is the one in force")
