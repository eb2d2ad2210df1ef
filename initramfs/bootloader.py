"""Compiles PyInstaller's bootloader, the small C program in front of the frozen agent, for architectures without a wheel."""

import tempfile
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import cached_folder, file_sha256, key_of
from initramfs.command import run
from initramfs.progress import Progress
from initramfs.wheels import LOCK, source_archive

COMPILE_TIMEOUT_S = 600.0


def cross_compiled_bootloader(architecture: Architecture, site: Path, progress: Progress) -> Path | None:
    """The folder with the program `run` for `architecture`, or None where the wheel brings it."""
    if not architecture.cross_bootloader:
        return None

    def make(folder: Path) -> None:
        archive = source_archive("pyinstaller", site, progress)
        with progress.step(f"compiling PyInstaller's bootloader for {architecture.name}"):
            _compile(architecture, archive, folder)

    return cached_folder("bootloaders", key_of([file_sha256(LOCK), architecture.name, architecture.cross_compiler]), make)


def _compile(architecture: Architecture, archive: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        run(["tar", "-C", temporary, "-xf", archive], timeout_s=COMPILE_TIMEOUT_S)
        (top,) = Path(temporary).iterdir()
        run(
            # No --target-arch: for 32 bits it would add -m32, which ARM compilers do not know.
            ["/usr/bin/python3", "./waf", "configure", "all"],
            cwd=top / "bootloader",
            # Its own zlib, linked statically: one library less on the loader's system path.
            environment={"CC": architecture.cross_compiler, "PYI_STATIC_ZLIB": "1", "SOURCE_DATE_EPOCH": "0"},
            timeout_s=COMPILE_TIMEOUT_S,
            hint=f"needs {architecture.cross_compiler}: apt-get install {architecture.cross_packages}",
        )
        (top / "PyInstaller" / "bootloader" / architecture.cross_bootloader / "run").rename(folder / "run")
