"""Fetches Debian packages of any architecture with an apt of its own and unpacks them as an ordinary user.

Owns a private apt state below the cache: the machine's packages, lists and settings are read for addresses and proxies and
never changed. No maintainer script is run. What a list of names resolved to is remembered, so that building again needs no
network; `refresh` asks the mirror anew.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import bootpilot_cache, cached_folder, file_sha256, key_of
from initramfs.command import run
from initramfs.errors import BuildError
from initramfs.mirrors import (
    INDEX_FORMAT,
    KEYRING,
    MIRROR_SETTING,
    Suite,
    sources_list,
    suites_from_index_targets,
    suites_from_mirror,
)
from initramfs.progress import Progress

UPDATE_ATTEMPTS = 3
UPDATE_PAUSE_S = 10.0  # a mirror that is being synchronised answers with sizes that do not fit for some minutes
APT_TIMEOUT_S = 900.0
UNPACK_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class PackageSet:
    """Names to fetch. `with_dependencies` bring their Depends; of `alone` only the package itself is taken."""

    with_dependencies: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Package:
    """One fetched package, as it is remembered."""

    name: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        return bootpilot_cache() / "packages" / f"{self.sha256}.deb"


class Packages:
    """The Debian packages for one architecture. One apt update at most in its lifetime."""

    def __init__(self, architecture: Architecture, progress: Progress, *, refresh: bool = False) -> None:
        self._architecture = architecture
        self._progress = progress
        self._refresh = refresh
        self._apt: PrivateApt | None = None

    def resolve(self, wanted: PackageSet) -> tuple[Package, ...]:
        """The set with its dependencies, every package on this disk; sorted by name.

        Raises:
            BuildError: no suite answers, a name is unknown, or a download fails.
        """
        memory = self._memory(wanted)
        remembered = _read_memory(memory)
        if remembered and not self._refresh:
            return remembered
        with self._progress.step(f"fetching {self._architecture.name} packages: {_summary(wanted)}"):
            packages = self._private_apt().fetch(wanted)
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary = memory.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps([vars(package) for package in packages], indent=1))
        temporary.replace(memory)
        return packages

    def newest_version_of(self, metapackage: str, prefix: str) -> str:
        """The package with `prefix` that a metapackage depends on, e.g. linux-image-6.1.0-9-arm64 for linux-image-arm64."""
        memory = self._memory(PackageSet(alone=(f"{metapackage} -> {prefix}",)))
        if memory.is_file() and not self._refresh:
            return memory.read_text()
        name = self._private_apt().dependency(metapackage, prefix)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(name)
        return name

    def unpacked(self, packages: tuple[Package, ...], finish: Callable[[Path], None] | None = None) -> Path:
        """A folder with the content of all these packages, owned by whoever builds; `finish` adds what they lack."""

        def unpack_all(root: Path) -> None:
            with self._progress.step(f"unpacking {len(packages)} {self._architecture.name} packages"):
                for package in packages:
                    run(["dpkg-deb", "-x", package.path, root], timeout_s=UNPACK_TIMEOUT_S)
                if finish:
                    finish(root)

        return cached_folder("roots", key_of([package.sha256 for package in packages]), unpack_all)

    def _memory(self, wanted: PackageSet) -> Path:
        source = os.environ.get(MIRROR_SETTING, "")
        key = key_of([self._architecture.name, source, wanted.with_dependencies, wanted.alone])
        return bootpilot_cache() / "resolved" / f"{self._architecture.name}-{key}.json"

    def _private_apt(self) -> "PrivateApt":
        if self._apt is None:
            self._apt = PrivateApt(self._architecture, self._progress)
            self._apt.update()
        return self._apt


class PrivateApt:
    """apt with its own lists, status and archive, for one architecture."""

    def __init__(self, architecture: Architecture, progress: Progress) -> None:
        self._folder = bootpilot_cache() / "apt" / architecture.name
        self._progress = progress
        self._suites = host_suites()
        self._environment = {"APT_CONFIG": str(self._folder / "apt.conf")}
        for name in ("lists/partial", "archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        (self._folder / "apt.conf").write_text(apt_configuration(self._folder, architecture.name, host_acquire_settings()))

    def update(self) -> None:
        """Read the suites' indexes; leave out, saying so, those that are not required and do not answer consistently."""
        for attempt in range(1, UPDATE_ATTEMPTS + 1):
            failure = self._try_update(self._suites)
            if failure is None:
                return
            if attempt < UPDATE_ATTEMPTS:
                self._progress.say(f"apt-get update failed, trying again in {UPDATE_PAUSE_S:.0f} s")
                time.sleep(UPDATE_PAUSE_S)
        answering = tuple(suite for suite in self._suites if suite.required or self._answers(suite))
        failure = self._try_update(answering)
        if failure is not None:
            raise failure
        self._suites = answering

    def dependency(self, metapackage: str, prefix: str) -> str:
        """The first package starting with `prefix` among the Depends of `metapackage`."""
        text = self._run("apt-cache", "depends", metapackage)
        names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "Depends:" in line]
        for name in names:
            if name.startswith(prefix):
                return name
        raise BuildError(f"{metapackage} depends on no {prefix}* package, but on {', '.join(names) or 'nothing'}")

    def fetch(self, wanted: PackageSet) -> tuple[Package, ...]:
        """Download the set into the cache."""
        archives = self._folder / "archives"
        _empty(archives)
        if wanted.with_dependencies:
            self._run("apt-get", "install", "-y", "--no-install-recommends", "--download-only", *wanted.with_dependencies)
        if wanted.alone:
            self._run("apt-get", "download", *wanted.alone, cwd=archives)
        packages = [_keep(deb) for deb in sorted(archives.glob("*.deb"))]
        return tuple(sorted(packages, key=lambda package: package.name))

    def _answers(self, suite: Suite) -> bool:
        failure = self._try_update((suite,))
        if failure is not None:
            self._progress.say(f"going on without {suite.name}: {suite.uri} does not answer with a consistent index")
        return failure is None

    def _try_update(self, suites: tuple[Suite, ...]) -> BuildError | None:
        (self._folder / "sources.list").write_text(sources_list(suites))
        try:
            # Error-Mode=any: without it apt takes a stale or missing index for a success.
            self._run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
        except BuildError as error:
            error.hint = f"is {suites[0].uri} reachable? Another archive can be named with {MIRROR_SETTING}"
            return error
        return None

    def _run(self, *argv: str, cwd: Path | None = None) -> str:
        return run(
            argv,
            timeout_s=APT_TIMEOUT_S,
            environment=self._environment,
            cwd=cwd,
            hint="the mirror may have changed meanwhile: try again with --refresh",
        )


def host_suites() -> tuple[Suite, ...]:
    """Where this machine gets Debian packages from, or where the setting says.

    Raises:
        BuildError: nowhere, or Debian's archive keys are not installed.
    """
    if not Path(KEYRING).is_file():
        raise BuildError(f"{KEYRING} is missing, so packages cannot be verified", "apt-get install debian-archive-keyring")
    mirror = os.environ.get(MIRROR_SETTING, "")
    if mirror:
        return suites_from_mirror(mirror)
    targets = ["apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"]
    text = run(
        targets, timeout_s=60, hint=f"the builder needs apt; on other systems use a Debian container and {MIRROR_SETTING}"
    )
    return suites_from_index_targets(text)


def host_acquire_settings() -> str:
    """The machine's own settings for downloads (proxies, time limits) in apt.conf form, and nothing else of it."""
    lines = run(["apt-config", "dump"], timeout_s=60).splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith("Acquire::"))


def apt_configuration(folder: Path, architecture: str, acquire: str) -> str:
    """An apt.conf for a private state below `folder`."""
    values = {
        "Dir": folder,
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Etc": folder / "etc",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::netrc": "/etc/apt/auth.conf",
        "Dir::Etc::netrcparts": "/etc/apt/auth.conf.d",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        # As root apt would download as _apt, who cannot enter this folder.
        "APT::Sandbox::User": "root",
        # Otherwise apt removes archives that no list mentions any more.
        "APT::Keep-Downloaded-Packages": "true",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return acquire + "".join(f'{name} "{value}";\n' for name, value in values.items())


def built_unix_s(packages: tuple[Package, ...]) -> int:
    """When the newest of the packages was built: the time stamp of its first ar member (deb(5), ar_hdr.ar_date)."""
    return max(_ar_time(package.path) for package in packages)


def _ar_time(deb: Path) -> int:
    with deb.open("rb") as stream:
        header = stream.read(8 + 60)
    return int(header[8 + 16 : 8 + 28])


def _read_memory(memory: Path) -> tuple[Package, ...]:
    if not memory.is_file():
        return ()
    packages = tuple(Package(**fields) for fields in json.loads(memory.read_text()))
    return packages if all(package.path.is_file() for package in packages) else ()


def _keep(deb: Path) -> Package:
    name, version, _ = deb.name.split("_")
    package = Package(name, version.replace("%3a", ":"), file_sha256(deb))
    package.path.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(deb, package.path)
    return package


def _empty(folder: Path) -> None:
    for deb in folder.glob("*.deb"):
        deb.unlink()


def _summary(wanted: PackageSet) -> str:
    names = wanted.with_dependencies + wanted.alone
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
