"""Makes the device tree that the next kernel gets out of the running one or the plan's. Pure: no I/O here.

What the firmware wrote into it (memory, serial number, MAC addresses) stays; /chosen says what the next kernel boots.
"""

from bootpilot_agent.flat_tree import FlatTree
from bootpilot_agent.kexec_segments import PAGE_BYTES, Range, round_up

# Of the kernel that runs now, and untrue for the next: a crash dump's memory, the integrity log of an earlier kexec.
STALE = ("linux,elfcorehdr", "linux,usable-memory-range", "linux,ima-kexec-buffer")
SEED_BYTES = 64
KASLR_SEED_BYTES = 8


def hand_on(tree: FlatTree, command_line: str, initrd: Range, seed: bytes) -> None:
    """Change `tree` so that the next kernel finds its command line, its initrd and fresh chance.

    `seed` are SEED_BYTES + KASLR_SEED_BYTES random bytes: the running kernel has erased those that it was given.
    """
    chosen = tree.root.child("chosen").properties
    _forget_old_initrd(tree)
    for name in STALE:
        chosen.pop(name, None)
    chosen["bootargs"] = command_line.encode() + b"\0"
    chosen["linux,initrd-start"] = initrd.start.to_bytes(8, "big")
    chosen["linux,initrd-end"] = initrd.end.to_bytes(8, "big")
    chosen["rng-seed"] = seed[:SEED_BYTES]
    if "kaslr-seed" in chosen:
        chosen["kaslr-seed"] = seed[SEED_BYTES:]


def _forget_old_initrd(tree: FlatTree) -> None:
    """U-Boot reserves the loader's initrd in the tree (boot/image-fdt.c, fdt_initrd), some versions in whole pages."""
    chosen = tree.root.child("chosen").properties
    start = int.from_bytes(chosen.get("linux,initrd-start", b""), "big")
    size_bytes = int.from_bytes(chosen.get("linux,initrd-end", b""), "big") - start
    sizes = (size_bytes, round_up(size_bytes, PAGE_BYTES))
    tree.reserved = [entry for entry in tree.reserved if not (entry[0] == start and entry[1] in sizes)]
