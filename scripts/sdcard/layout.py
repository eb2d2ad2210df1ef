"""Where everything lies on a card: regions, their overlaps, the card's size, the partition table's text. No I/O here."""

import itertools
from dataclasses import dataclass

from scripts.sdcard.boards import MIB, Board
from scripts.sdcard.errors import CardError

SECTOR_BYTES = 512
# The MBR's partition table and signature; a boot ROM may have its code in the bytes before (boards with firmware at sector 0).
PARTITION_TABLE_OFFSET = 440
# FAT32 with the two tables, the root folder and mformat's rounding, for 100 MiB and for 2 GiB alike under this share.
FAT_OVERHEAD_SHARE = 1 / 64
FAT_OVERHEAD_BYTES = 1 * MIB
# Below 65525 clusters of one sector a file system is no FAT32 (Microsoft's FAT specification 1.03, "FAT type determination").
LEAST_PARTITION_BYTES = 36 * MIB
MOST_PARTITION_BYTES = 2 * 1024 * 1024 * MIB - SECTOR_BYTES
FAT32_TYPE = "c"


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

    @property
    def partuuid(self) -> str:
        """As the kernel and blkid write it: disk id and partition number (block/partitions/msdos.c, set_info)."""
        return f"{self.disk_id:08x}-01"

    @property
    def spare_bytes(self) -> int:
        return self.card_bytes - self.partition.end


def plan_layout(board: Board, firmware_sizes: dict[str, int], content_bytes: int, disk_id: int, card_bytes: int = 0) -> Layout:
    """Lay out a card for `content_bytes` of files in the FAT partition; `firmware_sizes` has each piece's size by its path.

    `card_bytes` 0 takes the smallest power of two that fits: QEMU refuses other sizes, and every real card is larger.

    Raises:
        CardError: two things overlap, or it does not fit; names both, with their places.
    """
    needed = max(int(content_bytes * (1 + FAT_OVERHEAD_SHARE)) + FAT_OVERHEAD_BYTES, LEAST_PARTITION_BYTES)
    size = card_bytes or 1 << (board.partition_start_bytes + needed - 1).bit_length()
    if size & (size - 1):
        raise CardError(
            f"{board.name}: a card image of {size} bytes is no power of two", f"the next is {1 << size.bit_length()}"
        )
    if size - board.partition_start_bytes < needed:
        raise CardError(
            f"{board.name}: {content_bytes / MIB:.0f} MiB of files do not fit on a card of {size / MIB:.0f} MiB",
            f"take a card size of at least {_power_of_two(board.partition_start_bytes + needed) // MIB} MiB",
        )
    partition = Region("FAT partition", board.partition_start_bytes, size - board.partition_start_bytes)
    check_regions([*_fixed_regions(board, firmware_sizes), partition], size)
    return Layout(card_bytes=size, partition=partition, disk_id=disk_id)


def check_regions(regions: list[Region], card_bytes: int) -> None:
    """Raises CardError if two regions overlap, one is misaligned for its partition, or one ends behind the card."""
    ordered = sorted(regions, key=lambda region: (region.start, region.end))
    for region in ordered:
        if region.end > card_bytes:
            raise CardError(f"{region} ends behind the card's {card_bytes} bytes")
    for first, second in itertools.pairwise(ordered):
        if first.end > second.start:
            raise CardError(f"{first} and {second} overlap", "another offset in the board's row, or a later partition start")


def sfdisk_script(layout: Layout) -> str:
    """What sfdisk reads: one active FAT32 partition up to the card's end."""
    start, size = (value // SECTOR_BYTES for value in (layout.partition.start, layout.partition.size))
    head = f"label: dos\nlabel-id: 0x{layout.disk_id:08x}\nunit: sectors\n"
    return f"{head}\nstart={start}, size={size}, type={FAT32_TYPE}, bootable\n"


def _fixed_regions(board: Board, firmware_sizes: dict[str, int]) -> list[Region]:
    table = Region("partition table", PARTITION_TABLE_OFFSET, SECTOR_BYTES - PARTITION_TABLE_OFFSET)
    pieces = [Region(f"firmware {piece.path}", piece.offset_bytes, firmware_sizes[piece.path]) for piece in board.firmware]
    areas = [Region(area.name, area.offset_bytes, area.size_bytes) for area in board.reserved]
    return [table, *pieces, *areas]


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()
