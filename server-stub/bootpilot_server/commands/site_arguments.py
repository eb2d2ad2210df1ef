"""The words of `bootpilot check` and `apply`."""

from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, verb

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


def add_arguments(verbs: Verbs) -> None:
    check = verb(verbs, "check", "site_commands:check_dir", "say what is wrong with a folder of profiles and rules", SITE)
    check.add_argument("dir", type=Path, metavar="DIR", help="the folder that holds profiles/, rules/ and loaders/")
    apply = verb(verbs, "apply", "site_commands:apply_dir", "make a folder the next revision, whole or not at all", SITE)
    apply.add_argument("dir", type=Path, metavar="DIR", help="the folder that holds profiles/, rules/ and loaders/")
