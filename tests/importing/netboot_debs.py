"""Small packages that look like Debian's netboot images, made with dpkg-deb."""

import gzip
import subprocess
from pathlib import Path

from bootpilot_server.importing.netboot_package import Netboot
from tests.fakes.kernels import KERNELS

# An empty cpio archive: its trailer (initramfs buffer format).
CPIO = b"070701" + b"00000000" * 4 + b"00000001" + b"00000000" * 6 + b"0000000B" + b"00000000" + b"TRAILER!!!\0"


def netboot_files(netboot: Netboot) -> dict[str, bytes]:
    return {netboot.kernel: KERNELS[netboot.arch](), netboot.initrd: gzip.compress(CPIO, mtime=0)}


def make_deb(folder: Path, netboot: Netboot, files: dict[str, bytes] | None = None, package: str = "") -> Path:
    """With these files instead of the right ones, and with another name, where given."""
    tree = folder / "tree"
    for name, content in (netboot_files(netboot) if files is None else files).items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    (tree / "DEBIAN").mkdir(parents=True)
    name = package or netboot.package
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 20250101\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: test\n"
    )
    made = folder / f"{name}.deb"
    argv = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(made)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return made
