"""The words of `bootpilot recording`: what boards took down of their boots."""

from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, sentence, verb

LIST = """
A board sends the recording of a boot that failed; of every boot, if its profile says `record = true`.
"""
EXPORT = """
  bootpilot recording export 10000000abcdef01          into BOOT.bootrec
  bootpilot recording export BOOT -o - | zcat          lines of JSON, for any tool

Secrets were left out on the board already: tokens, nonces, the secret of a card, whatever leads to the files of a plan.
"""
SHOW = """
  bootpilot recording show 10000000abcdef01            of the node's last boot
  bootpilot recording show boot.bootrec --all          every line, files and console too
  bootpilot recording show BOOT --har > boot.har       the requests, for tools that read HAR

Seconds count from the begin of the boot; lines before it were read by an earlier boot of the same agent. "!" is what failed.
Exit status 1 if the recording cannot be read.
"""
BOOT = "a boot id, or a node (its id, the beginning of one, serial number or MAC address) for that node's last boot"


def add_arguments(verbs: Verbs) -> None:
    text = "what boards took down of their boots"
    group = verbs.add_parser("recording", help=text, description=sentence(text))
    inner = group.add_subparsers(required=True, metavar="COMMAND")
    listing = verb(inner, "list", "recording_commands:list_recordings", "which boots have a recording, newest first", LIST)
    listing.add_argument("node", metavar="NODE", nargs="?", help="of this node only")
    export = verb(inner, "export", "recording_commands:export_recording", "the recording of a boot, as a file", EXPORT)
    export.add_argument("boot", metavar="BOOT|NODE", help=BOOT)
    export.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to; - is standard output; BOOT.bootrec if not given"
    )
    show = verb(inner, "show", "recording_commands:show_recording", "a recording as a time line", SHOW)
    show.add_argument("boot", metavar="BOOT|NODE|FILE", help=f"a file, or {BOOT}")
    show.add_argument("--all", action="store_true", dest="everything", help="every line of it")
    show.add_argument("--utc", action="store_true", help="dates by the board's own clock instead of seconds")
    show.add_argument("--har", action="store_true", help="its HTTP exchanges as HAR 1.2")
