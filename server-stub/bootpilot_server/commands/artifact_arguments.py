"""The words of `bootpilot artifact ...`."""

from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, sentence, verb

ADD = """
kernels are stored as kexec takes them: one in gzip, an EFI zboot image, a U-Boot image or a unified kernel image (with its
initrd, device tree and command line) is taken out of it first
"""
PRUNE = """
kept is what the revision in force names, what the last 10 revisions name (keep.artifact_revisions in server.toml: `bootpilot
rollback` finds it all), what plans of the last 7 days name, and what was added in the last 7 days
"""


def add_arguments(verbs: Verbs) -> None:
    text = "kernels, initrds and device trees, by digest"
    artifact = verbs.add_parser("artifact", help=text, description=sentence(text))
    inner = artifact.add_subparsers(required=True, metavar="COMMAND")
    add = verb(inner, "add", "artifact_commands:artifact_add", "store a file and print the lines that name it in a profile")
    add.epilog = ADD
    add.add_argument("file", type=Path, metavar="FILE", help="a kernel, an initrd or a device tree")
    add.add_argument("--as-is", action="store_true", help="store the file itself, whatever it wraps")
    add.add_argument("--name", metavar="NAME", help="what people call it; the file's name if not given")
    remove = verb(
        inner, "rm", "artifact_commands:artifact_rm", "delete artifacts that no profile in force and no recent plan names"
    )
    remove.add_argument("digest", nargs="+", metavar="DIGEST", help="a digest, or 8 or more of its first characters")
    prune = verb(
        inner, "prune", "artifact_commands:artifact_prune", "show what nobody needs any more; with --yes, delete it", PRUNE
    )
    prune.add_argument("--yes", action="store_true", help="delete what would be shown")
    listing = verb(inner, "list", "artifact_commands:artifact_list", "show what is stored")
    listing.add_argument("--verify", action="store_true", help="read every file and compare it with its digest")
