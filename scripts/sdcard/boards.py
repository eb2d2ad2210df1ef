"""The boards that cards are made for, as rows with a reason beside each odd value. Pure data: a new board is a new row."""

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20

# Debian's am335x U-Boot, written raw, ends at 1.74 MiB and would overwrite a partition at the usual 1 MiB.
PARTITION_START_BYTES = 4 * MIB


@dataclass(frozen=True)
class FirmwarePiece:
    """A file that the board's boot ROM or its first stage expects at a fixed place outside the partition.

    `path` is where the Debian package `package` installs it.
    """

    package: str
    path: str
    offset_bytes: int
    reason: str


@dataclass(frozen=True)
class ReservedArea:
    """A place on the card that the firmware writes to later, such as U-Boot's environment; nothing may lie there."""

    name: str
    offset_bytes: int
    size_bytes: int
    reason: str


@dataclass(frozen=True)
class LoaderArgument:
    """One word for the loader's kernel command line. The payload's command line never inherits it."""

    text: str
    reason: str


@dataclass(frozen=True)
class Board:
    """One kind of board. `dtbs` are names of device trees that the card carries, `fdt` the one to name in extlinux.conf.

    Both stay empty where the firmware has the right device tree itself. `console` stays empty where the device tree names
    one (stdout-path): names such as ttyO2 and ttyS2 change with the kernel's drivers, the device tree does not.
    """

    name: str
    title: str
    arch: str
    firmware: tuple[FirmwarePiece, ...] = ()
    reserved: tuple[ReservedArea, ...] = ()
    dtbs: tuple[str, ...] = ()
    fdt: str = ""
    console: str = ""
    arguments: tuple[LoaderArgument, ...] = ()
    partition_start_bytes: int = PARTITION_START_BYTES


ONE_CPU = LoaderArgument(
    "nr_cpus=1",
    "kexec_load refuses (EINVAL, or EBUSY with spin tables) while there are CPUs that the firmware cannot switch off; "
    "started with one CPU, the next kernel gets them all",
)
REBOOT_AFTER_PANIC = LoaderArgument("panic=10", "a board that nobody watches tries again instead of standing still")
RAMFS_ROOT = LoaderArgument("rootfstype=ramfs", "a tmpfs root is limited to half of the memory, and the payload must fit in it")

ARM_ARGUMENTS = (ONE_CPU, REBOOT_AFTER_PANIC, RAMFS_ROOT)

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        # Both virt boards: the firmware is QEMU's -bios, not on the card; QEMU makes the device tree and U-Boot passes it on.
        Board(name="virt-arm64", title="QEMU's generic arm64 board", arch="arm64", arguments=ARM_ARGUMENTS),
        Board(name="virt-armhf", title="QEMU's generic armhf board", arch="armhf", arguments=ARM_ARGUMENTS),
    )
}
