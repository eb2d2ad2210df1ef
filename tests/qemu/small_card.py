"""A card with its settings and nothing else, for machines whose loader QEMU starts: made in a moment, and on any bus."""

import subprocess
from pathlib import Path

PARTUUID = "1234abcd-01"
# What the loader is told, as the image builder writes it.
CARD_ARGUMENT = f"bootpilot.card=PARTUUID={PARTUUID}"
MIB = 1 << 20
CARD_BYTES, PARTITION_BYTES = 16 * MIB, 1 * MIB


def write_card(path: Path, settings: str) -> Path:
    """A memory stick or SD card with bootpilot.txt."""
    with path.open("wb") as stream:
        stream.truncate(CARD_BYTES)
    script = f"label: dos\nlabel-id: 0x{PARTUUID.partition('-')[0]}\nstart=1MiB, type=c, bootable\n"
    subprocess.run(["sfdisk", "--quiet", str(path)], input=script.encode(), check=True)
    text = path.with_suffix(".txt")
    text.write_text(settings)
    image = f"{path}@@{PARTITION_BYTES}"
    subprocess.run(["mformat", "-i", image, "-T", str((CARD_BYTES - PARTITION_BYTES) // 512), "::"], check=True)
    subprocess.run(["mcopy", "-i", image, str(text), "::/bootpilot.txt"], check=True)
    return path
