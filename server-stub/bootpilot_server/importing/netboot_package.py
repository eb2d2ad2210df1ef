"""Debian's packages of the installer's netboot images: which one, and the two files of it that a board boots.

Reads the package as a stream and takes these two files by their full names; nothing else in it is looked at.
"""

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bootpilot_server.errors import OperatorError
from bootpilot_server.importing.programs import output_of, run

# Debian's number of a release, which stands in the names of its packages and folders.
NUMBERS = {"bookworm": 12, "trixie": 13}
# armhf's kernel keeps the name that a zImage has; its device trees are not needed: boards hand on the one they run with.
KERNEL_NAMES = {"amd64": "linux", "arm64": "linux", "armhf": "vmlinuz"}
# trixie's largest, arm64's, has a kernel of 38 MB and an initrd of 42 MB.
MAX_FILE_BYTES = 512 << 20
FIELDS = "${Package}\t${Version}\t${Architecture}"


@dataclass(frozen=True)
class Netboot:
    """One release for one architecture."""

    release: str
    arch: str

    @property
    def package(self) -> str:
        return f"debian-installer-{NUMBERS[self.release]}-netboot-{self.arch}"

    @property
    def folder(self) -> str:
        """Where its text installer's files are, below /. The graphical one has no use on boards without a screen."""
        return f"usr/lib/debian-installer/images/{NUMBERS[self.release]}/{self.arch}/text/debian-installer/{self.arch}"

    @property
    def kernel(self) -> str:
        return f"{self.folder}/{KERNEL_NAMES[self.arch]}"

    @property
    def initrd(self) -> str:
        return f"{self.folder}/initrd.gz"


@dataclass(frozen=True)
class Images:
    """The files, taken out into a folder of the caller's, and the package's version."""

    kernel: Path
    initrd: Path
    version: str


def take_images(netboot: Netboot, deb: Path, folder: Path) -> Images:
    """Raises OperatorError if this is another package, a damaged one, or one without these files."""
    if not deb.is_file():
        raise OperatorError(f"{deb}: there is no such file")
    version = _checked_version(netboot, deb)
    images = Images(folder / "kernel", folder / "initrd", version)
    wanted = {netboot.kernel: images.kernel, netboot.initrd: images.initrd}
    try:
        # A damaged file ends its stream early: then tarfile, or the look at what is missing, says so.
        with output_of(["dpkg-deb", "--fsys-tarfile", str(deb)]) as stream:
            _take(stream, wanted)
    except (tarfile.TarError, EOFError) as error:
        raise OperatorError(f"{deb}: cannot be unpacked: {error}", "fetch it again") from error
    missing = [name for name, target in wanted.items() if not target.is_file()]
    if missing:
        raise OperatorError(f"{deb}: has no {' and no '.join(missing)}", "is it whole? `dpkg-deb --contents` lists it")
    return images


def _checked_version(netboot: Netboot, deb: Path) -> str:
    text = run(["dpkg-deb", "--show", f"--showformat={FIELDS}", str(deb)], timeout_s=60)
    name, version, _ = (*text.split("\t"), "", "")[:3]
    if name != netboot.package:
        raise OperatorError(
            f"{deb}: is the package {name}, expected {netboot.package}", "--release and --arch say which installer is meant"
        )
    return version


def _take(stream: IO[bytes], wanted: dict[str, Path]) -> None:
    waiting = dict(wanted)
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            target = waiting.pop(member.name.removeprefix("./"), None)
            if target is None:
                continue
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or member.size > MAX_FILE_BYTES:
                raise OperatorError(f"{member.name}: is no file of at most {MAX_FILE_BYTES >> 20} MiB")
            with target.open("xb") as file:
                shutil.copyfileobj(content, file)
            if not waiting:
                return
