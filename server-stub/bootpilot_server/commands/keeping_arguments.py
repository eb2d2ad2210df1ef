"""The words of `bootpilot backup`, `restore` and `prune`."""

from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, verb

BACKUP = """
  bootpilot backup /backup/boot-$(date +%F).tar

The server may run, and boards are answered meanwhile. In it: the database (nodes, boots, revisions with all profiles and rules)
and server.toml. Not in it, unless asked for: artifacts, which can be imported again, and secret.key, without which boots that
are under way begin anew. The file is readable for its owner alone.
"""
RESTORE = """
  bootpilot restore /backup/boot-2026-11-14.tar

What was there is moved to a folder replaced-TIME, never deleted. A backup of an older program is upgraded. Also taken is a bare
database, such as the copy that an upgrade leaves in the home folder.
"""
PRUNE = """
How much is kept is set in HOME/server.toml; these are the defaults, and 0 is without bound:

  [keep]
  boots_days = 90        boots_per_node = 50
  events_days = 90       events_mib = 2048
  logs_days = 30         questions_days = 7
  history_days = 730     refusals_days = 30
  prune_minutes = 60     how often the server does it by itself

Nodes are never pruned, nor the last boot of one.
"""


def add_arguments(verbs: Verbs) -> None:
    backup = verb(verbs, "backup", "keeping_commands:backup", "write the server's folder into one file, while it runs", BACKUP)
    backup.add_argument("file", type=Path, metavar="FILE", help="a tar file that is made")
    backup.add_argument("--with-artifacts", action="store_true", help="also kernels, initrds and device trees")
    backup.add_argument("--with-key", action="store_true", help="also secret.key: whoever has it can speak for any board")
    backup.add_argument("--force", action="store_true", help="replace the file if it is there")
    restore = verb(verbs, "restore", "keeping_commands:restore_backup", "make a folder of what `backup` wrote", RESTORE)
    restore.add_argument("file", type=Path, metavar="FILE", help="what `bootpilot backup` made")
    restore.add_argument("--force", action="store_true", help="even if a server's state is there, or a server runs")
    prune = verb(verbs, "prune", "keeping_commands:prune_old", "show what happened too long ago; with --yes, delete it", PRUNE)
    prune.add_argument("--yes", action="store_true", help="delete what would be shown")
