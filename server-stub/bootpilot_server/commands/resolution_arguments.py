"""The words of `bootpilot node merge`, `split` and `replace`."""

import argparse

from bootpilot_server.commands.arguments import Verbs, add_deed, verb

MERGE = """
  bootpilot node merge rack7-03 5f0c8a12

The second record ends in the first: its evidence, boots, installs and history; its id goes on meaning the first. So a
contradiction is resolved too: name the node that the board is, then the contradiction's record.
"""
SPLIT = """
  bootpilot node split rack7-03 --evidence mac=00:48:54:20:33:02
  bootpilot node split rack7-03 --evidence mac=00:48:54:20:33:02 --shared dmi-uuid=03020100-0504-0706-0809-0a0b0c0d0e0f

The evidence named becomes a node of its own, which waits for approval. --shared is for a value that both boards show: it
names nobody on this site from then on.
"""
REPLACE = """
  bootpilot node replace rack7-03 --with 5f0c8a12

For a repaired board or a new card, after it has asked once: OLD keeps its id, name, labels, approval and installs, and is known
by what NEW shows. What only the former board showed is kept as history and does not name it any more.
"""
WHICH = "a node id, its beginning, a name, a serial number or a MAC address"


def add_to(inner: Verbs) -> None:
    merge = verb(inner, "merge", "resolution_commands:node_merge", "say that two records are one board", MERGE)
    merge.add_argument("kept", metavar="NODE", help=f"the one that stays: {WHICH}")
    merge.add_argument("gone", metavar="OTHER", help="the one that ends in it")
    split = verb(inner, "split", "resolution_commands:node_split", "say that one record is two boards", SPLIT)
    split.add_argument("node", metavar="NODE", help=WHICH)
    split.add_argument("--evidence", action="append", required=True, metavar="KIND=VALUE", help="what is the other board's")
    split.add_argument("--shared", action="append", default=[], metavar="KIND=VALUE", help="what both show: it names nobody")
    change = verb(inner, "replace", "resolution_commands:node_replace", "give a node another board or card", REPLACE)
    change.add_argument("old", metavar="OLD", help=WHICH)
    change.add_argument("--with", dest="new", required=True, metavar="NEW", help="the record under which the new one has asked")
    for parser in (merge, split, change):
        _add_rehearsal(parser)


def _add_rehearsal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    add_deed(parser)
