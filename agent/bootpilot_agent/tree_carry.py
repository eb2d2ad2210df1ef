"""How each row of tree_fixups.FIXUPS takes what it names from the running tree into the plan's. No I/O here.

Every function changes the plan's tree and gives what a person should know: mostly nothing, else what could not be carried over.
"""

import re

from bootpilot_agent.flat_tree import FlatTree, Node
from bootpilot_agent.tree_memory import Running
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
    take,
    take_missing,
    take_present,
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
CPU_KEYS = ("enable-method", "cpu-release-addr")
FRAMEBUFFER_KEYS = ("reg", "width", "height", "stride", "format", "status")
SHOWN = 4


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
    take(ours, theirs, CPU_KEYS)
    take_missing(ours, theirs, ("timebase-frequency",))
    numbered = {_cpu_number(cpu): cpu for cpu in theirs.children if _is_cpu(cpu)}
    for cpu in filter(_is_cpu, ours.children):
        twin = numbered.pop(_cpu_number(cpu), None)
        if twin is not None:
            take(cpu, twin, CPU_KEYS)
            take_present(cpu, twin, ("status",))
    return [f"the plan's tree has {len(numbered)} CPUs that the running one has not"] if numbered else []


def carry_serial(running: Running, plan: FlatTree) -> list[str]:
    take_present(running.root, plan.root, ("serial-number",))
    system = find_child(running.root, "system")
    if system is not None:
        take_present(system, plan.root.child("system"), ("linux,serial", "linux,revision"))
    return []


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
        take_missing(ours, theirs, ("#address-cells", "#size-cells", "ranges"))
        fresh = recoded(copied(node), ours, theirs)
        known = find_child(theirs, node.name)
        if known is None:
            put_child(theirs, fresh)
        else:
            # Its clocks and power domains are numbered by the plan's tree.
            take_present(fresh, known, FRAMEBUFFER_KEYS)
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
            take_present(from_, to, ("dma-ranges",))
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


def _is_cpu(node: Node) -> bool:
    return node.name.partition("@")[0] == "cpu" or strings(node.properties.get("device_type", b"")) == ("cpu",)


def _cpu_number(node: Node) -> int:
    return int.from_bytes(node.properties.get("reg", b""), "big")


def _cells(node: Node) -> tuple[bytes | None, bytes | None]:
    return node.properties.get("#address-cells"), node.properties.get("#size-cells")
