"""What is odd about architectures, boards and watchdogs, as rows with their reasons. No I/O here.

The one place for it: whoever loads a kernel, feeds a watchdog or leaves the machine looks here, and nowhere else is a board
named. A row matches a board by its device tree's `compatible` or, on machines with DMI, by vendor and product.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from bootpilot_agent.inventory import Board, Cpu

# The agent verified every byte a moment ago, so purgatory need not do it again. It runs with caches off on arm64, where
# 40 MB take 20 to 43 s, and costs 3 s for 80 MB on amd64.
_UNCHECKED = "-i"
# kexec_load: Debian's arm kernels have no kexec_file_load, and on amd64 that call leaves the check in purgatory on.
_LOAD_CALL = "-c"
KEXEC_FLAGS = {
    "amd64": (_LOAD_CALL, _UNCHECKED),
    "arm64": (_LOAD_CALL, _UNCHECKED),
    # kexec-tools takes TEXT_OFFSET for 0x8000 and puts the initrd right behind the size that the zImage states; Debian's armmp
    # kernel has TEXT_OFFSET 0x208000 (ARCH_MESON) and unpacks itself over the initrd's first 2 MiB. 64 MiB is room for both.
    "armhf": (_LOAD_CALL, "--image-size=0x4000000"),
}

# Architectures whose kernel refuses kexec while it knows of CPUs that it cannot take away: EINVAL from machine_kexec_prepare()
# in arch/arm/kernel/machine_kexec.c, EBUSY from cpus_are_stuck_in_kernel() in arch/arm64/kernel/smp.c. Both count the CPUs
# that are possible, so maxcpus=1 does not help.
NEEDS_HOTPLUG = frozenset({"arm64", "armhf"})


@dataclass(frozen=True)
class BoardTraits:
    """One row. `boards` are patterns of which one must fit; `why` says what is known and from where.

    `kexec_trouble`: the jump is known to fail, as a phrase that follows "kexec". `unbind`: (bus, driver) whose devices are
    taken from their driver before the jump, because the next kernel cannot start them otherwise, or they write into its memory.
    """

    boards: tuple[str, ...]
    why: str
    kexec_trouble: str = ""
    unbind: tuple[tuple[str, str], ...] = ()


BOARDS = (
    BoardTraits(
        boards=("brcm,bcm2712", "raspberrypi,5-*"),
        why="https://github.com/raspberrypi/linux/issues/6465 (open; 6.6.28 and 6.6.60, with and without --dtb)",
        kexec_trouble="is known not to work on the Raspberry Pi 5: its next kernel says nothing after `Bye!`",
    ),
    BoardTraits(
        boards=("Apple Inc. MacBookAir7,*",),
        why="https://github.com/zbm-dev/zfsbootmenu/pull/104: what hangs on USB is invisible to the next kernel otherwise",
        unbind=(("pci", "xhci_hcd"),),
    ),
    BoardTraits(
        boards=("*",),
        why="a virtio device keeps its receive buffers though its link is down; what comes after the jump is written there, "
        "into the next kernel. Seen with 6.12 on virtio-mmio: a TCP segment among the symbols of a kernel, and a kernel that "
        "said no word while packets came in. Its driver resets the device when it lets go",
        unbind=(("virtio", "virtio_net"),),
    ),
)


@dataclass(frozen=True)
class WatchdogTraits:
    """One kind of watchdog. `cannot_stop` and `cannot_keep` say why, "" where it can.

    One that cannot be stopped is opened only when a plan says that its payload feeds it. One that cannot be kept is stopped
    before the jump whatever the plan says: the payload may start it anew.
    """

    cannot_stop: str = ""
    cannot_keep: str = ""


_TOO_SHORT = "it bites after at most {} s, and from the jump to a payload that feeds it takes longer on a small board"
# By the identity in /sys/class/watchdog/*/identity.
WATCHDOGS = {
    "imx2+ watchdog": WatchdogTraits(
        cannot_stop="i.MX: WDE can be set once and not cleared (i.MX53 reference manual, WDOG_WCR; imx2_wdt has no stop)"
    ),
    "Synopsys DesignWare Watchdog": WatchdogTraits(
        cannot_stop="stops only where the board wires its reset line to the driver (dw_wdt_stop)"
    ),
    # drivers/watchdog/sunxi_wdt.c: WDT_MAX_TIMEOUT
    "sunxi-wdt": WatchdogTraits(cannot_keep=_TOO_SHORT.format(16)),
    # drivers/watchdog/bcm2835_wdt.c: 20 bits of 1/65536 s
    "Broadcom BCM2835 Watchdog timer": WatchdogTraits(cannot_keep=_TOO_SHORT.format(15)),
}
PLAIN_WATCHDOG = WatchdogTraits()


def rows_of(board: Board) -> tuple[BoardTraits, ...]:
    """All rows that fit."""
    names = (board.model, *board.compatible)
    return tuple(row for row in BOARDS if any(fnmatchcase(name, pattern) for name in names for pattern in row.boards))


def kexec_trouble(board: Board, cpu: Cpu, arch: str) -> str:
    """Why the jump would fail on this board though the kernel has the call; "" if nothing is known against it."""
    known = next((row for row in rows_of(board) if row.kexec_trouble), None)
    if known is not None:
        return f"kexec {known.kexec_trouble} ({known.why})"
    if arch in NEEDS_HOTPLUG and cpu.hotplug is False:
        method = f" (enable-method {cpu.enable_method})" if cpu.enable_method else ""
        return (
            f"the loader's kernel knows of several CPUs and cannot take them away{method}, so kexec is refused; "
            "the card's loader entry needs nr_cpus=1"
        )
    return ""


def to_unbind(board: Board) -> tuple[tuple[str, str], ...]:
    """(bus, driver) whose devices must be let go before the jump."""
    return tuple(pair for row in rows_of(board) for pair in row.unbind)


def watchdog_traits(identity: str) -> WatchdogTraits:
    return WATCHDOGS.get(identity, PLAIN_WATCHDOG)
