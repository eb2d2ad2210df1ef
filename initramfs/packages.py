"""The Debian packages that images are made of, of any architecture: resolved, fetched and unpacked as an ordinary user.

No maintainer script is run. What a list of names resolved to is remembered, so that building again needs no network;
`refresh` asks the mirror anew.
"""

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import bootpilot_cache, cached_folder, file_sha256, key_of, locked, tree_digests
from initramfs.command import run
from initramfs.errors import BuildError
from initramfs.mirrors import MIRROR_SETTING, Suite
from initramfs.private_apt import Package, PackageSet, PrivateApt, host_suites
from initramfs.progress import Progress

UNPACK_TIMEOUT_S = 300.0


class Packages:
    """The Debian packages for one architecture. One apt update at most in its lifetime; `suites` tells where a release lies."""

    def __init__(
        self,
        architecture: Architecture,
        progress: Progress,
        *,
        refresh: bool = False,
        suites: Callable[[str], tuple[Suite, ...]] = host_suites,
    ) -> None:
        self._architecture = architecture
        self._progress = progress
        self._refresh = refresh
        self._suites = suites
        self._apt: PrivateApt | None = None

    def resolve(self, wanted: PackageSet) -> tuple[Package, ...]:
        """The set with its dependencies, every package on this disk; sorted by name.

        Raises:
            BuildError: no suite answers, a name is unknown, or a download fails.
        """
        memory = self._memory(wanted.with_dependencies, wanted.alone)
        remembered = None if self._refresh else _remembered_packages(memory)
        if remembered:
            return remembered
        with self._locked(), self._progress.step(f"fetching {self._architecture.name} packages: {_summary(wanted)}"):
            packages = self._private_apt().fetch(wanted)
            _remember(memory, [vars(package) for package in packages])
        return packages

    def newest_version_of(self, metapackage: str, prefix: str) -> str:
        """The package with `prefix` that a metapackage depends on, e.g. linux-image-6.1.0-9-arm64 for linux-image-arm64."""
        memory = self._memory(metapackage, prefix)
        if memory.is_file() and not self._refresh:
            return str(json.loads(memory.read_text()))
        with self._locked():
            name = self._private_apt().dependency(metapackage, prefix)
            _remember(memory, name)
        return name

    def of_release(self, name: str) -> "Packages":
        """The same architecture's packages of another Debian release, e.g. trixie."""
        architecture = dataclasses.replace(
            self._architecture, release=dataclasses.replace(self._architecture.release, name=name)
        )
        return Packages(architecture, self._progress, refresh=self._refresh, suites=self._suites)

    def from_file(self, deb: Path) -> Package:
        """A package that a person has as a file. Raises BuildError if it is none, or for another architecture."""
        if not deb.is_file():
            raise BuildError(f"there is no file {deb}")
        fields = run(
            ["dpkg-deb", "--show", "--showformat=${Package}\t${Version}\t${Architecture}", deb], timeout_s=UNPACK_TIMEOUT_S
        )
        name, version, architecture = fields.split("\t")
        if architecture not in (self._architecture.name, "all"):
            raise BuildError(f"{deb} is for {architecture}, not for {self._architecture.name}")
        package = Package(name, version, file_sha256(deb))
        package.path.parent.mkdir(exist_ok=True)
        shutil.copy(deb, package.path)
        return package

    def source(self, name: str) -> Path:
        """The folder with the files of a source package (.dsc, .orig.tar, .debian.tar); the suites must be deb-src.

        Raises:
            BuildError: no suite answers, or none has it.
        """
        memory = self._memory("source", name)
        key = json.loads(memory.read_text()) if memory.is_file() and not self._refresh else ""
        folder = bootpilot_cache() / "source-packages"
        if key and (folder / key).is_dir():
            return cached_folder(folder.name, key, lambda _: None)
        with self._locked(), tempfile.TemporaryDirectory() as scratch:
            with self._progress.step(f"fetching the source package {name}"):
                self._private_apt().fetch_source(name, Path(scratch))
            key = key_of(tree_digests(Path(scratch), ("*",)))
            made = cached_folder(folder.name, key, lambda target: _copy_files(Path(scratch), target))
            _remember(memory, key)
        return made

    def unpacked(self, packages: tuple[Package, ...], finish: Callable[[Path], None] | None = None) -> Path:
        """A folder with the content of all these packages, owned by whoever builds; `finish` adds what they lack."""

        def unpack_all(root: Path) -> None:
            with self._progress.step(f"unpacking {len(packages)} {self._architecture.name} packages"):
                for package in packages:
                    run(["dpkg-deb", "-x", package.path, root], timeout_s=UNPACK_TIMEOUT_S)
                link_merged_folders(root)
                if finish:
                    finish(root)

        return cached_folder("roots", key_of([package.sha256 for package in packages]), unpack_all)

    def _memory(self, *question: object) -> Path:
        key = key_of([self._architecture.release.name, self._architecture.name, os.environ.get(MIRROR_SETTING, ""), *question])
        return bootpilot_cache() / "resolved" / f"{self._architecture.name}-{key}.json"

    def _locked(self) -> AbstractContextManager[None]:
        folder = bootpilot_cache() / "apt"
        folder.mkdir(exist_ok=True)
        return locked(folder / f"{self._architecture.release.name}-{self._architecture.name}.lock")

    def _private_apt(self) -> PrivateApt:
        if self._apt is None:
            self._apt = PrivateApt(self._architecture, self._progress, self._suites(self._architecture.release.name))
            self._apt.update()
        return self._apt


def link_merged_folders(root: Path) -> None:
    """Make /bin, /sbin and /lib links into /usr where the packages have nothing there, as since trixie.

    On a complete system base-files brings these links; it is no dependency of anything.
    """
    for name in ("bin", "sbin", "lib", "lib64"):
        if (root / "usr" / name).is_dir() and not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")


def built_unix_s(packages: tuple[Package, ...]) -> int:
    """When the newest of the packages was built: the time stamp of its first ar member (deb(5), ar_hdr.ar_date)."""
    return max(_ar_time(package.path) for package in packages)


def _ar_time(deb: Path) -> int:
    with deb.open("rb") as stream:
        header = stream.read(8 + 60)
    return int(header[8 + 16 : 8 + 28])


def _remembered_packages(memory: Path) -> tuple[Package, ...] | None:
    if not memory.is_file():
        return None
    packages = tuple(Package(**fields) for fields in json.loads(memory.read_text()))
    if not all(package.path.is_file() for package in packages):
        return None
    for path in (memory, *(package.path for package in packages)):
        os.utime(path)
    return packages


def _copy_files(source: Path, target: Path) -> None:
    for path in source.iterdir():
        shutil.copy(path, target / path.name)


def _remember(memory: Path, answer: object) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = memory.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(answer, indent=1))
    unfinished.replace(memory)


def _summary(wanted: PackageSet) -> str:
    names = wanted.with_dependencies + wanted.alone
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
