"""Hands the MACs that the agent set on to the payload, in its device tree. Reads the running tree, writes the payload's.

A board without a MAC of its own has another random one in every kernel: with the tree's, a payload that knows nothing of
boot.json has the agent's, and with it the agent's address. Imported only where there is such a MAC.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bootpilot_agent.addresses import GivenMac
from bootpilot_agent.flat_tree import FlatTreeError, read_tree, write_tree
from bootpilot_agent.payload import Payload
from bootpilot_agent.report import RUNNING_TREE
from bootpilot_agent.tree_macs import put_macs

TREE = "dtb"


def with_given_macs(
    payload: Payload, macs: Sequence[GivenMac], folder: Path, root: Path, say: Callable[[str], object]
) -> Payload:
    """The payload with these MACs in its own tree, or without one in a copy of the running tree. Never raises.

    Given the running tree as a file, kexec-tools treats it as they treat what they read themselves: without --dtb they take
    /sys/firmware/fdt (kexec-zImage-arm.c, read_1st_dtb() in kexec-arm64.c).
    """
    named = [given for given in macs if given.node]
    for given in macs:
        if given not in named:
            say(f"{given.interface}: the payload is told of the MAC {given.mac} in boot.json alone: no device tree has it")
    if not named:
        return payload
    try:
        content = (root / RUNNING_TREE).read_bytes()
        running = read_tree(content)
        tree = read_tree(payload.dtb.read_bytes() if payload.dtb else content)
        notes = put_macs(named, running.root, tree.root)
        path = payload.dtb or folder / TREE
        path.write_bytes(write_tree(tree))
    except (OSError, FlatTreeError) as error:
        say(f"device tree: no MAC can be written into it, boot.json alone has it: {error}")
        return payload
    for note in notes:
        say(f"device tree: {note}")
    return replace(payload, dtb=path)
