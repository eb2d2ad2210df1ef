"""What lies beside an image: compressed copy, block map, checksums, manifest."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from scripts.sdcard.block_map import BLOCK_BYTES, needed_ranges
from scripts.sdcard.boards import BOARDS
from scripts.sdcard.build import CardOptions, build_card
from scripts.sdcard.errors import CardError
from scripts.sdcard.manifest import CardManifest
from scripts.sdcard.release import write_companions
from tests.sdcard.card_reading import MIB, Fat32
from tests.sdcard.conftest import MakeLoader

OPTIONS = CardOptions({"server": "http://boot.example:8080"})
NAMES = ["virt-arm64", "uefi-amd64"]


@pytest.mark.parametrize("name", NAMES)
def test_bmaptool_writes_a_card_from_the_compressed_image_and_its_block_map(
    name: str, loader_for: MakeLoader, tmp_path: Path
) -> None:
    image = tmp_path / "card.img"
    layout = build_card(BOARDS[name], loader_for(BOARDS[name]), OPTIONS, image)
    files = write_companions(image, layout)
    card = tmp_path / "card"
    # What an older card left behind must not show through where it matters.
    card.write_bytes(b"\xff" * layout.card_bytes)
    argv: list[str | Path] = ["bmaptool", "copy", "--bmap", files[".bmap"], files[".zst"], card]
    subprocess.run(argv, capture_output=True, check=True, timeout=120)
    raw, written = image.read_bytes(), card.read_bytes()
    for item in needed_ranges(image, layout):
        assert written[item.start : item.start + item.size] == raw[item.start : item.start + item.size]
    assert sum(item.size for item in needed_ranges(image, layout)) < layout.card_bytes // 2
    partition = tmp_path / "partition"
    partition.write_bytes(written[layout.partition.start : layout.partition.end])
    subprocess.run(["fsck.fat", "-n", partition], check=True, capture_output=True, timeout=60)
    subprocess.run(["sfdisk", "--verify", card], check=True, capture_output=True, timeout=60)


def test_the_block_map_ends_with_the_last_used_cluster(loader_for: MakeLoader, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    layout = build_card(BOARDS["virt-arm64"], loader_for(BOARDS["virt-arm64"]), OPTIONS, image)
    fat = Fat32(image, 4 * MIB)
    last = max(number for number, entry in enumerate(fat.fat) if entry & 0x0FFFFFFF)
    end = 4 * MIB + fat.data + (last - 1) * fat.cluster_sectors * 512
    [only] = needed_ranges(image, layout)
    assert only.first == 0
    assert 0 <= (only.last + 1) * BLOCK_BYTES - end < BLOCK_BYTES


def test_everything_beside_an_image_is_the_same_for_the_same_image(loader_for: MakeLoader, tmp_path: Path) -> None:
    board = BOARDS["virt-arm64"]
    found = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        image = folder / "card.img"
        files = write_companions(image, build_card(board, loader_for(board), OPTIONS, image))
        found.append({suffix: path.read_bytes() for suffix, path in files.items()})
    assert found[0] == found[1]


def test_sha256sum_accepts_the_checksums_and_the_manifest_has_the_images(loader_for: MakeLoader, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    files = write_companions(image, build_card(BOARDS["virt-arm64"], loader_for(BOARDS["virt-arm64"]), OPTIONS, image))
    subprocess.run(["sha256sum", "--check", files[".sha256"].name], cwd=tmp_path, check=True, timeout=60, capture_output=True)
    manifest = json.loads(files[".json"].read_bytes())
    assert manifest["image"]["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert (manifest["board"], manifest["loader_build_id"], len(manifest["build_id"])) == ("virt-arm64", "0123456789abcdef", 16)
    assert {part["name"] for part in manifest["files"]} >= {"vmlinuz", "initrd.img", "bootpilot.txt"}


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"format": 1}', b'{"format": 1, "files": [{}], "regions": []}'])
def test_a_manifest_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(CardError, match=r"manifest\.json cannot be read"):
        CardManifest.from_json(raw)


def test_a_manifest_of_a_later_format_says_what_to_do() -> None:
    with pytest.raises(CardError, match="has format 2") as refusal:
        CardManifest.from_json(b'{"format": 2}')
    assert "newer build-sdcard" in refusal.value.hint


def test_an_image_takes_little_room_on_the_builders_disk(loader_for: MakeLoader, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    build_card(BOARDS["virt-arm64"], loader_for(BOARDS["virt-arm64"]), OPTIONS, image)
    assert image.stat().st_blocks * 512 < image.stat().st_size / 2
