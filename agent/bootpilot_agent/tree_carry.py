"""How each row of tree_fixups.FIXUPS takes what it names from the running tree into the plan's. No I/O here.

Every function changes the plan's tree and gives what a person should know: mostly nothing, else what could not be carried over.
"""

import re
from dataclasses import dataclass

from bootpilot_agent.flat_tree import FlatTree, Node
from bootpilot_agent.tree_nodes import (
    alias_paths,
    copied,
    drop_child,
    find,
    find_child,
    is_on,
    list_paths,
    put_child,
    recoded,
    refers_to_others,
    strings,
)

# Of every kernel's own start: kexec writes them anew, or they are untrue for the next kernel (as kexec_tree.STALE).
OF_ONE_START = (
    "bootargs",
    "linux,initrd-start",
    "linux,initrd-end",
    "linux,elfcorehdr",
    "linux,usable-memory-range",
    "linux,ima-kexec-buffer",
)
MAC_KEYS = ("mac-address", "local-mac-address")
CPU_KEYS = ("enable-method", "cpu-release-addr")
FRAMEBUFFER_KEYS = ("reg", "width", "height", "stride", "format", "status")
# Physical addresses that only firmware knows: boot/image-fdt.c in U-Boot reserves the initrd that it loaded, and the tree.
PAGE_BYTES = 4096
SHOWN = 4


@dataclass(frozen=True)
class Running:
    """The tree that the loader runs with, and how many bytes of memory it takes."""

    tree: FlatTree
    size_bytes: int

    @property
    def root(self) -> Node:
        return self.tree.root


def carry_memory(running: Running, plan: FlatTree) -> list[str]:
    found = [node for node in running.root.children if is_memory(node)]
    by_uefi = "linux,uefi-mmap-start" in running.root.child("chosen").properties
    if not found and not by_uefi:
        return ["the running tree says nothing of memory; the plan's own counts"]
    plan.root.children = [node for node in plan.root.children if not is_memory(node)]
    # Among the first, as firmware puts them.
    plan.root.children[:0] = [recoded(copied(node), running.root, plan.root) for node in found]
    return []


def carry_reserved_memory(running: Running, plan: FlatTree) -> list[str]:
    ours = find_child(running.root, "reserved-memory")
    if ours is None:
        return []
    if find_child(plan.root, "reserved-memory") is None:
        put_child(plan.root, Node("reserved-memory", dict(copied(ours).properties)))
    theirs = plan.root.child("reserved-memory")
    for node in ours.children:
        fresh = recoded(copied(node), ours, theirs)
        known = find_child(theirs, node.name)
        if known is None:
            put_child(theirs, fresh)
        else:
            # Devices of the plan's tree point at it by its phandle there.
            known.properties |= fresh.properties
    return []


def carry_reservations(running: Running, plan: FlatTree) -> list[str]:
    """But not those of the loader's own initrd and tree, in whose place the next kernel's may come: it would refuse them."""
    chosen = running.root.child("chosen").properties
    start, end = (int.from_bytes(chosen.get(f"linux,initrd-{name}", b""), "big") for name in ("start", "end"))
    sizes_of_tree = {running.size_bytes, -(-running.size_bytes // PAGE_BYTES) * PAGE_BYTES}
    plan.reserved += [
        entry
        for entry in running.tree.reserved
        if entry not in plan.reserved
        and not (start <= entry[0] < end and entry[0] + entry[1] <= end + PAGE_BYTES)
        and entry[1] not in sizes_of_tree
    ]
    return []


def carry_psci(running: Running, plan: FlatTree) -> list[str]:
    ours = find_child(running.root, "psci")
    drop_child(plan.root, "psci")
    if ours is not None:
        put_child(plan.root, copied(ours))
    return []


def carry_cpus(running: Running, plan: FlatTree) -> list[str]:
    ours, theirs = find_child(running.root, "cpus"), find_child(plan.root, "cpus")
    if ours is None or theirs is None:
        return []
    _take(ours, theirs, CPU_KEYS)
    _take_missing(ours, theirs, ("timebase-frequency",))
    numbered = {_cpu_number(cpu): cpu for cpu in theirs.children if _is_cpu(cpu)}
    for cpu in filter(_is_cpu, ours.children):
        twin = numbered.pop(_cpu_number(cpu), None)
        if twin is not None:
            _take(cpu, twin, CPU_KEYS)
            _take_present(cpu, twin, ("status",))
    return [f"the plan's tree has {len(numbered)} CPUs that the running one has not"] if numbered else []


def carry_serial(running: Running, plan: FlatTree) -> list[str]:
    _take_present(running.root, plan.root, ("serial-number",))
    system = find_child(running.root, "system")
    if system is not None:
        _take_present(system, plan.root.child("system"), ("linux,serial", "linux,revision"))
    return []


def carry_macs(running: Running, plan: FlatTree) -> list[str]:
    notes = []
    places = alias_paths(plan.root, r"ethernet\d*")
    for alias, path in alias_paths(running.root, r"ethernet\d*").items():
        ours = find(running.root, path)
        if ours is None or not any(key in ours.properties for key in MAC_KEYS):
            continue
        theirs = find(plan.root, places.get(alias, path))
        if theirs is None:
            notes.append(f"the MAC of {alias} has no place in the plan's tree ({path})")
        else:
            _take(ours, theirs, MAC_KEYS)
    return notes


def carry_chosen(running: Running, plan: FlatTree) -> list[str]:
    ours, theirs = running.root.child("chosen").properties, plan.root.child("chosen").properties
    for key in [key for key in theirs if key in OF_ONE_START or key.startswith("linux,uefi-")]:
        del theirs[key]
    theirs |= {key: value for key, value in ours.items() if key.startswith("linux,uefi-")}
    theirs.pop("kaslr-seed", None)
    if "kaslr-seed" in ours:
        # Used up; kexec-tools puts a fresh one in the place of zeros, and refuses all else (kexec-arm64.c, setup_2nd_dtb).
        theirs["kaslr-seed"] = bytes(8)
    return _carry_console(running, plan)


def _carry_console(running: Running, plan: FlatTree) -> list[str]:
    ours, theirs = running.root.child("chosen").properties, plan.root.child("chosen").properties
    if "stdout-path" in theirs or "stdout-path" not in ours:
        return []
    name, colon, options = (strings(ours["stdout-path"]) or ("",))[0].partition(":")
    path = alias_paths(running.root, re.escape(name)).get(name, name)
    if find(plan.root, path) is None:
        return [f"the console {path} is not in the plan's tree"]
    theirs["stdout-path"] = f"{path}{colon}{options}".encode() + b"\0"
    return []


def carry_framebuffers(running: Running, plan: FlatTree) -> list[str]:
    ours, theirs = running.root.child("chosen"), plan.root.child("chosen")
    for node in ours.children:
        if "simple-framebuffer" not in strings(node.properties.get("compatible", b"")) or not is_on(node):
            continue
        _take_missing(ours, theirs, ("#address-cells", "#size-cells", "ranges"))
        fresh = recoded(copied(node), ours, theirs)
        known = find_child(theirs, node.name)
        if known is None:
            put_child(theirs, fresh)
        else:
            # Its clocks and power domains are numbered by the plan's tree.
            _take_present(fresh, known, FRAMEBUFFER_KEYS)
            if "status" not in fresh.properties:
                known.properties.pop("status", None)
    return []


def carry_firmware(running: Running, plan: FlatTree) -> list[str]:
    ours = find_child(running.root, "firmware")
    notes = []
    for node in ours.children if ours else ():
        firmware = find_child(plan.root, "firmware")
        if firmware is not None and find_child(firmware, node.name) is not None:
            continue
        if refers_to_others(node):
            notes.append(f"/firmware/{node.name} of the running tree is not in the plan's")
            continue
        put_child(plan.root.child("firmware"), copied(node))
    return notes


def carry_bus_windows(running: Running, plan: FlatTree) -> list[str]:
    for alias in ("emmc2bus", "pcie0"):
        ours, theirs = (alias_paths(root, alias).get(alias, "") for root in (running.root, plan.root))
        from_, to = find(running.root, ours), find(plan.root, theirs)
        if from_ is not None and to is not None and _cells(from_) == _cells(to):
            _take_present(from_, to, ("dma-ranges",))
    return []


def note_switches(running: Running, plan: FlatTree) -> list[str]:
    """What firmware or its overlays have switched on or off otherwise than the plan's tree: not carried over, but said."""
    theirs = dict(list_paths(plan.root))
    differing = [
        path for path, node in list_paths(running.root) if path in theirs and is_on(node) != is_on(theirs[path]) and path != "/"
    ]
    if not differing:
        return []
    shown = ", ".join(differing[:SHOWN]) + (", ..." if len(differing) > SHOWN else "")
    return [f"{len(differing)} devices are on in one of the two trees and off in the other: {shown}"]


def is_memory(node: Node) -> bool:
    return node.name.partition("@")[0] == "memory" or strings(node.properties.get("device_type", b"")) == ("memory",)


def _is_cpu(node: Node) -> bool:
    return node.name.partition("@")[0] == "cpu" or strings(node.properties.get("device_type", b"")) == ("cpu",)


def _cpu_number(node: Node) -> int:
    return int.from_bytes(node.properties.get("reg", b""), "big")


def _cells(node: Node) -> tuple[bytes | None, bytes | None]:
    return node.properties.get("#address-cells"), node.properties.get("#size-cells")


def _take(source: Node, target: Node, keys: tuple[str, ...]) -> None:
    """As the source has them, also where it has them not."""
    for key in keys:
        target.properties.pop(key, None)
    _take_present(source, target, keys)


def _take_present(source: Node, target: Node, keys: tuple[str, ...]) -> None:
    target.properties |= {key: source.properties[key] for key in keys if key in source.properties}


def _take_missing(source: Node, target: Node, keys: tuple[str, ...]) -> None:
    _take_present(source, target, tuple(key for key in keys if key not in target.properties))
