"""The words of `bootpilot events`, `log` and `node missing`: what happened on boards, and what did not."""

from bootpilot_server.commands.arguments import Verbs, verb

MISSING = """
  bootpilot node missing --since 2h                    after a power cut two hours ago
  bootpilot node missing --since 2026-11-01T06:30      UTC, unless it names an offset (+01:00)

Shown are nodes that were there before and of which nothing was heard since: no question, and no event of what they booted.
Exit status 1 if there are any.
"""
EVENTS = """
Times are UTC by the server's clock, when it heard of it; the second one is the sender's own, since it started. Entries of the
server itself have the source "server".
"""
LOG = """
Control characters are replaced, so that no log does anything to a terminal; --raw writes the bytes as they came.
  bootpilot log board-17 --source installer            how its last install went, however often it booted since
"""
BOOT = "a boot id, or a node (its id, the beginning of one, serial number or MAC address) for that node's last boot"


def add_arguments(verbs: Verbs) -> None:
    events = verb(verbs, "events", "happening_commands:show_events", "what happened in a boot, in order", EVENTS)
    events.add_argument("boot", metavar="NODE|BOOT", help=BOOT)
    log = verb(verbs, "log", "happening_commands:show_log", "the log that a boot has sent", LOG)
    log.add_argument("boot", metavar="BOOT|NODE", help=BOOT)
    log.add_argument(
        "--source",
        choices=("agent", "payload", "installer", "system"),
        help="whose log; all if not given. Of a node, its last boot that has one",
    )
    log.add_argument("--raw", action="store_true", help="the bytes as they came")


def add_missing(inner: Verbs) -> None:
    """`node missing`, among the other words of `bootpilot node`."""
    missing = verb(inner, "missing", "happening_commands:list_missing", "nodes that did not come back since a time", MISSING)
    missing.add_argument("--since", required=True, metavar="TIME", help="2h, 3d, 2026-11-01 or 2026-11-01T06:30")
