"""Where everything lies on a card: regions, their overlaps, the card's size, the partition table's text. No I/O here."""

import itertools
import uuid
from dataclasses import dataclass

from scripts.sdcard.board import MIB, SECTOR_BYTES, Board, Table
from scripts.sdcard.errors import CardError

# The MBR's partition table and signature; a boot ROM may have its code in the bytes before (boards with firmware at sector 0).
PARTITION_TABLE_OFFSET = 440
# A GPT is a header and 128 entries of 128 bytes behind the MBR, and the same again at the card's end (UEFI 5.3.1).
GPT_BYTES = 33 * SECTOR_BYTES
GPT_END_BYTES = 1 * MIB
# FAT32 with the two tables, the root folder and mformat's rounding, for 100 MiB and for 2 GiB alike under this share.
FAT_OVERHEAD_SHARE = 1 / 64
FAT_OVERHEAD_BYTES = 1 * MIB
# Below 65525 clusters of one sector a file system is no FAT32 (Microsoft's FAT specification 1.03, "FAT type determination").
LEAST_PARTITION_BYTES = 36 * MIB
# An MBR counts sectors in 32 bits, and so does FAT32.
MOST_CARD_BYTES = 1 << 40
FAT32_TYPE = "c"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
GPT_NAMES = uuid.UUID("f1b6c9f0-6a0e-5d0b-9c59-0d2f6e5d8a11")


@dataclass(frozen=True)
class Region:
    """A stretch of the card and what lies there."""

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size

    def __str__(self) -> str:
        return f"{self.name} (bytes {self.start} to {self.end})"


@dataclass(frozen=True)
class Layout:
    """A card whose regions do not overlap. `disk_id` makes the partition's PARTUUID and the FAT's volume serial number."""

    card_bytes: int
    partition: Region
    disk_id: int
    table: Table = Table.MBR

    @property
    def partuuid(self) -> str:
        """As the kernel and blkid write it: disk id and partition number (block/partitions/msdos.c); the UUID in a GPT."""
        return f"{self.disk_id:08x}-01" if self.table is Table.MBR else str(self._uuid("partition"))

    @property
    def label_id(self) -> str:
        """The table's own id, as sfdisk takes it."""
        return f"0x{self.disk_id:08x}" if self.table is Table.MBR else str(self._uuid("disk")).upper()

    @property
    def spare_bytes(self) -> int:
        return self.card_bytes - self.partition.end

    def _uuid(self, what: str) -> uuid.UUID:
        return uuid.uuid5(GPT_NAMES, f"{what} {self.disk_id:08x}")


def plan_layout(board: Board, firmware_sizes: dict[str, int], content_bytes: int, disk_id: int, card_bytes: int = 0) -> Layout:
    """Lay out a card for `content_bytes` of files in the FAT partition; `firmware_sizes` has each piece's size by its name.

    `card_bytes` 0 takes the smallest power of two that fits: QEMU's SD cards take no other size, and every real card is larger.

    Raises:
        CardError: two things overlap, or it does not fit; names both, with their places.
    """
    end_bytes = GPT_END_BYTES if board.table is Table.GPT else 0
    needed = max(int(content_bytes * (1 + FAT_OVERHEAD_SHARE)) + FAT_OVERHEAD_BYTES, LEAST_PARTITION_BYTES)
    least = board.partition_start_bytes + needed + end_bytes
    size = card_bytes or _power_of_two(least)
    check_size(board, size)
    if size < least:
        raise CardError(
            f"{board.name}: {content_bytes / MIB:.0f} MiB of files do not fit on a card of {size / MIB:.0f} MiB",
            f"take a card size of at least {_power_of_two(least) // MIB} MiB",
        )
    partition = Region("FAT partition", board.partition_start_bytes, size - board.partition_start_bytes - end_bytes)
    check_regions([*fixed_regions(board, firmware_sizes, size), partition], size)
    return Layout(card_bytes=size, partition=partition, disk_id=disk_id, table=board.table)


def check_regions(regions: list[Region], card_bytes: int) -> None:
    """Raises CardError if two regions overlap, or one ends behind the card."""
    ordered = sorted(regions, key=lambda region: (region.start, region.end))
    for region in ordered:
        if region.end > card_bytes:
            raise CardError(f"{region} ends behind the card's {card_bytes} bytes")
    for first, second in itertools.pairwise(ordered):
        if first.end > second.start:
            raise CardError(f"{first} and {second} overlap", "another offset in the board's row, or a later partition start")


def fixed_regions(board: Board, firmware_sizes: dict[str, int], card_bytes: int) -> list[Region]:
    """What lies outside the partition: tables, raw firmware, and the places that firmware writes to later."""
    tables = [Region("partition table", PARTITION_TABLE_OFFSET, SECTOR_BYTES - PARTITION_TABLE_OFFSET)]
    if board.table is Table.GPT:
        tables.append(Region("GPT", SECTOR_BYTES, GPT_BYTES))
        tables.append(Region("backup GPT", card_bytes - GPT_BYTES, GPT_BYTES))
    pieces = [
        Region(f"firmware {piece.name}", piece.offset_bytes, firmware_sizes[piece.name])
        for piece in board.firmware
        if piece.offset_bytes is not None
    ]
    areas = [Region(area.name, area.offset_bytes, area.size_bytes) for area in board.reserved]
    return [*tables, *pieces, *areas]


def sfdisk_script(layout: Layout) -> str:
    """What sfdisk reads: one FAT32 partition, active in an MBR, an EFI system partition in a GPT."""
    start, size = (value // SECTOR_BYTES for value in (layout.partition.start, layout.partition.size))
    head = f"label: {layout.table.value}\nlabel-id: {layout.label_id}\nunit: sectors\n"
    place = f"start={start}, size={size}"
    if layout.table is Table.MBR:
        return f"{head}\n{place}, type={FAT32_TYPE}, bootable\n"
    return f'{head}\n{place}, type={ESP_TYPE}, uuid={layout.partuuid.upper()}, name="BOOTPILOT"\n'


def check_size(board: Board, size: int) -> None:
    """Whether a card of this board may have `size` bytes at all, whatever is to lie on it. Raises CardError."""
    if size < board.partition_start_bytes + LEAST_PARTITION_BYTES:
        least = _power_of_two(board.partition_start_bytes + LEAST_PARTITION_BYTES) // MIB
        raise CardError(f"{board.name}: nothing fits on a card of {size / MIB:.0f} MiB", f"take at least {least} MiB")
    if size % MIB or size > MOST_CARD_BYTES:
        raise CardError(f"{board.name}: a card image of {size} bytes", "take whole MiB, at most 1 TiB")
    if board.power_of_two and size & (size - 1):
        raise CardError(
            f"{board.name}: a card image of {size} bytes is no power of two: {board.power_of_two}",
            f"the next size is {_power_of_two(size) // MIB} MiB",
        )


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()
