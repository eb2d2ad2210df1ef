"""Partition tables, compared with what sfdisk says of the same image."""

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpilot_agent.partition_table import Partition, ReadAt, read_partitions

DISK_BYTES = 64 << 20
SECTOR = 512


def make_disk(path: Path, script: str) -> Path:
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["sfdisk", "--quiet", str(path)], input=script.encode(), check=True, capture_output=True)
    return path


def as_sfdisk_says(path: Path) -> list[Partition]:
    table = json.loads(subprocess.run(["sfdisk", "-J", str(path)], check=True, capture_output=True).stdout)["partitiontable"]
    found = []
    for row in table.get("partitions", []):
        number = int(row["node"].removeprefix(str(path)))
        partuuid = row["uuid"] if table["label"] == "gpt" else f"{int(table['id'], 16):08x}-{number:02x}"
        found.append(Partition(number, partuuid.lower(), row["start"] * SECTOR, row["size"] * SECTOR, kind_of(row)))
    return sorted(found, key=lambda partition: partition.number)


def kind_of(row: dict[str, str]) -> str:
    """A GUID, or two hex digits where sfdisk prints one of a small number."""
    return row["type"].lower() if "-" in row["type"] else f"{int(row['type'], 16):02x}"


def reader(raw: bytes) -> ReadAt:
    return lambda offset, size: raw[offset : offset + size]


def ours(path: Path) -> list[Partition]:
    with path.open("rb") as disk:

        def read_at(offset: int, size: int) -> bytes:
            disk.seek(offset)
            return disk.read(size)

        return sorted(read_partitions(read_at, DISK_BYTES), key=lambda partition: partition.number)


@pytest.mark.parametrize(
    "script",
    [
        "label: dos\nlabel-id: 0x1b2c3d4e\nstart=8192, type=c, bootable\n",
        "label: dos\nstart=2048, size=4096\n,8192\n,8192\n,+\n",
        "label: dos\n4: start=2048, size=4096\n",
        "label: dos\n,4096\n,40000,E\n,2048\n,2048\n,2048\n,2048,83\n",
        "label: dos\n1: size=8M, type=f\n5: size=1M\n6: size=1M\n",
        "label: gpt\n",
        "label: gpt\nsize=1M, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\nsize=2M\n7: size=3M\n",
        "label: gpt\ntable-length: 16\n,4096\n16: size=1M\n",
    ],
)
def test_partitions_are_those_that_sfdisk_made(script: str, tmp_path: Path) -> None:
    path = make_disk(tmp_path / "disk", script)
    assert ours(path) == as_sfdisk_says(path)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=8), st.booleans())
@settings(max_examples=25, deadline=None)
def test_any_table_of_sfdisk_is_read_as_it_reads_it(sizes: list[int], gpt: bool) -> None:
    rows = [f"size={size}" for size in sizes]
    if not gpt and len(rows) > 3:
        rows.insert(3, "type=5")  # the rest become logical partitions in it
    with TemporaryDirectory() as folder:
        path = make_disk(Path(folder) / "disk", "\n".join([f"label: {'gpt' if gpt else 'dos'}", *rows]) + "\n")
        assert ours(path) == as_sfdisk_says(path)


def test_the_second_header_counts_where_the_first_is_damaged(tmp_path: Path) -> None:
    path = make_disk(tmp_path / "disk", "label: gpt\n,4096\n")
    raw = bytearray(path.read_bytes())
    expected = as_sfdisk_says(path)
    raw[SECTOR + 20] ^= 1
    assert list(read_partitions(reader(bytes(raw)), len(raw))) == expected
    raw[-SECTOR] ^= 1
    assert read_partitions(reader(bytes(raw)), len(raw)) == ()


def test_damaged_entries_are_not_believed(tmp_path: Path) -> None:
    path = make_disk(tmp_path / "disk", "label: gpt\n,4096\n")
    raw = bytearray(path.read_bytes())
    raw[2 * SECTOR + 17] ^= 1
    raw[-SECTOR] ^= 1
    assert read_partitions(reader(bytes(raw)), len(raw)) == ()


def test_a_disk_with_sectors_of_4096_bytes_is_read(tmp_path: Path) -> None:
    path = make_disk(tmp_path / "disk", "label: gpt\n,4096\n")
    raw = path.read_bytes()
    table = raw[: 34 * SECTOR]
    # The same header on LBA 1 of such a disk, its entries on LBA 2: only the offsets in bytes differ.
    wide = bytearray(4096 * 64)
    wide[:SECTOR] = table[:SECTOR]
    wide[4096 : 4096 + SECTOR] = table[SECTOR : 2 * SECTOR]
    wide[2 * 4096 : 2 * 4096 + 32 * SECTOR] = table[2 * SECTOR :]
    (partition,) = read_partitions(reader(bytes(wide)), len(wide), 4096)
    assert partition.partuuid == as_sfdisk_says(path)[0].partuuid
    assert partition.start_bytes == 2048 * 4096


def test_a_chain_of_logical_partitions_that_runs_in_a_circle_ends() -> None:
    raw = bytearray(SECTOR * 8)
    entry = bytes([0, 0, 0, 0, 5, 0, 0, 0]) + (4).to_bytes(4, "little") + (4).to_bytes(4, "little")
    for sector in (0, 4):
        raw[sector * SECTOR + 446 : sector * SECTOR + 462] = entry
        raw[sector * SECTOR + 510 : sector * SECTOR + 512] = b"\x55\xaa"
    raw[4 * SECTOR + 446 + 8 : 4 * SECTOR + 446 + 12] = bytes(4)
    assert [partition.number for partition in read_partitions(reader(bytes(raw)), len(raw))] == [1]


@given(st.binary(max_size=2048), st.integers(0, 1 << 40))
def test_no_bytes_raise(raw: bytes, disk_bytes: int) -> None:
    sector = raw[:446].ljust(446, b"\0") + raw[446:510].ljust(64, b"\xee") + b"\x55\xaa" + raw[510:]
    for content in (raw, sector):
        assert len(read_partitions(reader(content), disk_bytes)) <= 200
