"""Makes the yardstick's initramfs: the loader's own, without the agent, with a script as its first program.

So both have the same kernel, modules, busybox and kexec, and differ in nothing but the agent.
"""

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

from bootpilot_agent.cpio import Entry, regular, write_cpio
from bootpilot_agent.run import run

HERE = Path(__file__).parent
AGENT_FOLDER = "opt/bootpilot"
HEADER_BYTES = 110
TIMEOUT_S = 300.0
# As the loader's own initramfs is compressed.
ZSTD = ("zstd", "--quiet", "--force", "--single-thread")


def build_baseline(initramfs: Path, target: Path) -> Path:
    """Write the yardstick's initramfs, made from the loader's `initramfs`, to `target`. Raises CommandError."""
    plain = target.with_suffix(".cpio")
    run([*ZSTD, "-d", "-o", str(plain), str(initramfs)], timeout_s=TIMEOUT_S)
    entries = list(without_agent(list(read_cpio(plain.read_bytes()))))
    entries += [regular("bench-dhcp", HERE / "script_dhcp", 0o755), regular("init", HERE / "script_init", 0o755)]
    with plain.open("wb") as stream:
        write_cpio(entries, stream)
    run([*ZSTD, "-19", "-o", str(target), str(plain)], timeout_s=TIMEOUT_S)
    plain.unlink()
    return target


def without_agent(entries: list[Entry]) -> Iterator[Entry]:
    """All but the agent and the old first program; libraries that are links into the agent's folder become files."""
    contents = {entry.name: entry.content for entry in entries}
    for entry in entries:
        target = entry.content.decode() if stat.S_ISLNK(entry.mode) and isinstance(entry.content, bytes) else ""
        if entry.name == "init" or entry.name.startswith(AGENT_FOLDER):
            continue
        if target.startswith(f"/{AGENT_FOLDER}/"):
            yield regular(entry.name, contents[target[1:]], 0o755)
        else:
            yield entry


def read_cpio(content: bytes) -> Iterator[Entry]:
    """The entries of one or more uncompressed newc archives joined together. Raises ValueError for anything else."""
    place = 0
    while place < len(content):
        if content[place : place + 6] != b"070701":
            raise ValueError(f"no newc header at byte {place}")
        numbers = [int(content[place + 6 + 8 * index : place + 14 + 8 * index], 16) for index in range(13)]
        mode, size, name_length = numbers[1], numbers[6], numbers[11]
        name_start = place + HEADER_BYTES
        name = content[name_start : name_start + name_length - 1].decode()
        start = _aligned(name_start + name_length)
        place = _aligned(start + size)
        if name != "TRAILER!!!":
            yield Entry(name, mode, content[start : start + size], (numbers[9], numbers[10]))
            continue
        while content[place : place + 1] == b"\0":
            place += 1


def padded_initrd(initrd: Path, size_bytes: int, target: Path) -> Path:
    """An initrd of exactly `size_bytes`: the given one, then an archive with bytes that do not compress."""
    content = bytearray(initrd.read_bytes())
    content += b"\0" * (-len(content) % 4)
    # Header, the name `padding` with its NUL, and the trailer's header and name, each padded to 4 bytes.
    overhead = _aligned(HEADER_BYTES + len("padding") + 1) + _aligned(HEADER_BYTES + len("TRAILER!!!") + 1)
    with target.open("wb") as stream:
        stream.write(content)
        write_cpio([regular("padding", _noise(size_bytes - len(content) - overhead))], stream)
    return target


def _noise(size_bytes: int) -> bytes:
    # SHAKE-128 of nothing: the same bytes at every run, and no compressor shortens them.
    return hashlib.shake_128(b"").digest(max(0, size_bytes - size_bytes % 4))


def _aligned(offset: int) -> int:
    return offset + -offset % 4
