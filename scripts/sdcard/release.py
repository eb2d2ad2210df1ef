"""What lies beside an image for those who write it to cards: compressed copy, block map, manifest, checksums."""

import hashlib
import json
from pathlib import Path

from bootpilot_agent.run import run
from scripts.sdcard.block_map import needed_ranges, to_bmap
from scripts.sdcard.fat import read_fat_file
from scripts.sdcard.layout import Layout
from scripts.sdcard.manifest import MANIFEST_PATH

COMPRESS_TIMEOUT_S = 600.0
# One thread: with several the bytes would depend on their number.
ZSTD_ARGUMENTS = ("--quiet", "--force", "--single-thread", "-10")


def write_companions(image: Path, layout: Layout) -> dict[str, Path]:
    """Make IMAGE.zst, IMAGE.bmap, IMAGE.json and IMAGE.sha256; the same image gives the same bytes. Raises CommandError."""
    files = {suffix: image.with_name(image.name + suffix) for suffix in (".zst", ".bmap", ".json", ".sha256")}
    compressed_copy(image)
    files[".bmap"].write_bytes(to_bmap(image, needed_ranges(image, layout)))
    files[".json"].write_bytes(_manifest(image, layout))
    checked = (image, files[".zst"], files[".bmap"], files[".json"])
    files[".sha256"].write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in checked))
    return files


def compressed_copy(image: Path) -> Path:
    """Make IMAGE.zst and return its path. Raises CommandError."""
    path = image.with_name(image.name + ".zst")
    run(["zstd", *ZSTD_ARGUMENTS, str(image), "-o", str(path)], timeout_s=COMPRESS_TIMEOUT_S)
    return path


def _manifest(image: Path, layout: Layout) -> bytes:
    """The card's own manifest with what it cannot know: the whole image."""
    fields = json.loads(read_fat_file(image, layout, MANIFEST_PATH))
    fields["image"] = {"name": image.name, "size_bytes": image.stat().st_size, "sha256": _sha256(image)}
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
