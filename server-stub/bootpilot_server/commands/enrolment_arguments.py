"""The words of `bootpilot approve`, `bootpilot batch ...` and of what operators say of nodes: names, labels, lists of them."""

from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, add_deed, add_where, sentence, verb
from bootpilot_server.commands.resolution_arguments import WHICH

APPROVE = """
  bootpilot approve rack7-03 10000000abcdef01      these boards, whatever they are known by
  bootpilot approve --where 'label.rack = r7'      all that wait and fit
  bootpilot approve --batch spring                 all that wait and have shown the secret of this batch

Boards known only by a network adapter or a card get no plan that writes a disk unless they are approved by name or by a list
(`bootpilot node import`).
"""
BATCH = """
  bootpilot batch create spring --max 500 --until 2027-03-31 --profile install

It prints the line for bootpilot.txt on the cards, with a secret that is shown this once: the server keeps a digest of it.
Boards with that card are approved as they ask, 500 of them, through the end of that day (UTC).
"""
IMPORT = """
nodes.csv, its first line naming the columns, in any order, with commas, semicolons or tabs:
  serial;mac;card;name;rack;slot;labels;static_address;profile
  10000000abcdef01;;;rack7-03;r7;3;site=north kind=compute;10.7.0.3/24;install
  ;00:48:54:20:33:02;;rack7-04;r7;4;;;

Each line names a board by serial number, MAC address or card id (the CID), one of them at least. The boards are approved
beforehand. The whole file counts or nothing of it; a second import changes what is different, and removes nothing.
"""
LABEL = """
  bootpilot node label rack7-03 rack=r7 site=north     set them
  bootpilot node label --where 'label.rack = r7' rack-  take one away
"""
PROFILE = """
  bootpilot node profile rack7-03 ram-page             whatever rules say; `node import` and batches give it too
  bootpilot node profile rack7-03 -                    rules decide again
  bootpilot node profile debian-13 --where 'label.rack = r7'

One that writes a disk installs each node once; taking it away and giving it again installs nothing (`node reinstall` does).
"""


def add_approve(verbs: Verbs) -> None:
    approve = verb(verbs, "approve", "enrolment_commands:approve", "let boards that wait have what rules give them", APPROVE)
    approve.add_argument("node", nargs="*", metavar="NODE", help=WHICH)
    add_where(approve, "boards that wait and fit")
    approve.add_argument("--batch", metavar="NAME", help="boards that wait and have shown the secret of this batch")
    add_deed(approve)


def add_arguments(verbs: Verbs) -> None:
    add_approve(verbs)
    text = "boards that enrol by a secret on their cards"
    batch = verbs.add_parser("batch", help=text, description=sentence(text))
    inner = batch.add_subparsers(required=True, metavar="COMMAND")
    create = verb(inner, "create", "batch_commands:batch_create", "make a batch and print the line for bootpilot.txt", BATCH)
    create.add_argument("name", metavar="NAME", help="lower-case letters, digits, '.', '_' and '-'")
    create.add_argument("--max", type=int, required=True, metavar="N", help="how many boards it lets in")
    create.add_argument("--until", required=True, metavar="DATE", help="its last day, such as 2027-03-31 (UTC)")
    create.add_argument("--profile", default="", metavar="NAME", help="what its boards get, before any rule")
    verb(inner, "list", "batch_commands:batch_list", "batches, how full they are, and wrong secrets that were shown")
    close = verb(inner, "close", "batch_commands:batch_close", "let nobody in by this batch any more")
    close.add_argument("name", metavar="NAME")
    for parser in (create, close):
        parser.add_argument("--as", dest="author", metavar="NAME", help="who does this; else the user and machine")


def add_to(inner: Verbs) -> None:
    """What stands under `bootpilot node`."""
    bulk = verb(inner, "import", "import_command:node_import", "announce and approve boards by a list, before they ask", IMPORT)
    bulk.add_argument("file", type=Path, metavar="FILE", help="a CSV file")
    bulk.add_argument("--dry-run", action="store_true", help="check it and show what would change, and change nothing")
    add_deed(bulk)
    label = verb(inner, "label", "enrolment_commands:node_label", "set and remove labels, which rules can select by", LABEL)
    label.add_argument("words", nargs="+", metavar="NODE... KEY=VALUE... KEY-", help="nodes, then labels")
    add_where(label, "also nodes that fit")
    add_deed(label)
    rename = verb(inner, "rename", "enrolment_commands:node_rename", "give a node a name, or with '' none")
    rename.add_argument("node", metavar="NODE", help=WHICH)
    rename.add_argument("name", metavar="NAME", help="as a host name: letters, digits and '-', with dots between")
    add_deed(rename)
    own = verb(
        inner,
        "profile",
        "own_profile_command:node_profile",
        "give nodes a profile of their own, before any rule, or take it",
        PROFILE,
    )
    own.add_argument("node", nargs="*", metavar="NODE", help=WHICH)
    own.add_argument("profile", metavar="PROFILE|-", help="a profile of the revision in force; - takes it away")
    add_where(own, "also nodes that fit; stands after PROFILE")
    add_deed(own)
    revoke = verb(
        inner, "revoke", "enrolment_commands:node_revoke", "take back an approval: the board waits from its next boot"
    )
    revoke.add_argument("node", nargs="+", metavar="NODE", help=WHICH)
    add_deed(revoke)
