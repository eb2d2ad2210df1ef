"""The words of `bootpilot node reinstall|rescue|local|follow-rules|hold|release|retire|reboot|poweroff`."""

import argparse
from dataclasses import dataclass

from bootpilot_server.commands.arguments import Verbs, add_deed, add_where, verb


@dataclass(frozen=True)
class OrderWords:
    """One verb: what it does in a few words, more of it, and whether it takes --profile."""

    name: str
    text: str
    more: str
    takes_profile: bool = False


ORDERS = (
    OrderWords(
        "reinstall",
        "install nodes anew, whatever is on their disks",
        """
Each node gets an install id of its own, once, and is approved by this if it was not. Without --profile it is the installing
profile that rules give it, or the one it was installed with. `bootpilot node show NODE` tells how far it got.
  bootpilot node reinstall board-17
  bootpilot node reinstall --where 'label.rack = r7' --profile lamp --dry-run
""",
        takes_profile=True,
    ),
    OrderWords(
        "rescue",
        "boot nodes into a profile that writes no disk, until they are released",
        """
Without --profile it is the profile `rescue`.
  bootpilot node rescue board-17 --profile rescue-ssh
""",
        takes_profile=True,
    ),
    OrderWords("local", "start nodes from their own disks, whatever rules say, until they are released", ""),
    OrderWords(
        "follow-rules",
        "end what was ordered, done or not: nodes get what rules say again",
        """
A node that was installed by order starts its disk from then on, also where its rule names a profile that runs in memory. This
ends that, and rescue and local, and takes back a reinstall that is not done. A hold stays (`release` ends it), and so does a
profile of its own (`node profile NODE -`). A rule's install that was there before the order is not made again; a disk on
which a withdrawn install had begun is not whole, and needs `reinstall`.
  bootpilot node follow-rules board-17
""",
    ),
    OrderWords(
        "hold", "let nodes wait until they are released", "\n  bootpilot node hold board-17 --reason 'new fan on Monday'\n"
    ),
    OrderWords(
        "release",
        "end hold, rescue, local and retirement; what failed too often is tried again",
        "\n  bootpilot node release --where 'label.rack = r7'\n",
    ),
    OrderWords("retire", "take nodes out of service: they wait, and their records stay", ""),
    OrderWords(
        "reboot",
        "let nodes reboot when they ask next",
        """
Boards ask while they boot or wait; one that runs its system hears of it at its next boot. Given once, and over after a day.
""",
    ),
    OrderWords("poweroff", "switch nodes off when they ask next", "\nGiven once, and over after a day.\n"),
)


def add_to(inner: Verbs) -> None:
    for words in ORDERS:
        _add(inner, words)


def _add(inner: Verbs, words: OrderWords) -> None:
    parser = verb(inner, words.name, f"order_commands:order_{words.name.replace('-', '_')}", words.text, words.more)
    _add_whom(parser)
    if words.takes_profile:
        parser.add_argument("--profile", default="", metavar="NAME", help="this profile of the revision in force")
    if words.name == "hold":
        parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the page and the board's console")
    parser.add_argument("--dry-run", action="store_true", help="only tell which nodes are meant")
    add_deed(parser)


def _add_whom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "node", nargs="*", metavar="NODE", help="a name, a node id, its beginning, a serial number or a MAC address"
    )
    add_where(parser, "instead of NODE, all nodes that fit")
