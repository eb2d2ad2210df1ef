"""apt for one architecture with lists, status and archive of its own, below the cache.

The machine's packages, lists and settings are read for addresses and proxies and never changed. Needs no root.
"""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import bootpilot_cache, file_sha256, forget_unused
from initramfs.command import run
from initramfs.errors import BuildError
from initramfs.mirrors import (
    INDEX_FORMAT,
    KEYRING,
    MIRROR_SETTING,
    Suite,
    preferences,
    sources_list,
    suites_from_index_targets,
    suites_from_mirror,
)
from initramfs.progress import Progress

UPDATE_ATTEMPTS = 2
UPDATE_PAUSE_S = 10.0  # a mirror that is being synchronised answers with sizes that do not fit for some minutes
APT_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class PackageSet:
    """Names to fetch, or apt's patterns (`?essential`). `with_dependencies` bring their Depends; of `alone` only the package
    itself is taken.
    """

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


class PrivateApt:
    """apt with its own lists, status and archive, for one architecture."""

    def __init__(
        self, architecture: Architecture, progress: Progress, suites: tuple[Suite, ...], update_pause_s: float = UPDATE_PAUSE_S
    ) -> None:
        self._folder = bootpilot_cache() / "apt" / f"{architecture.release.name}-{architecture.name}"
        self._progress = progress
        self._suites = suites
        self._update_pause_s = update_pause_s
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
                self._progress.say(f"apt-get update failed, trying again in {self._update_pause_s:.0f} s")
                time.sleep(self._update_pause_s)
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
        kept = bootpilot_cache() / "packages"
        kept.mkdir(exist_ok=True)
        forget_unused(kept)
        if wanted.with_dependencies:
            self._run("apt-get", "install", "-y", "--no-install-recommends", "--download-only", *wanted.with_dependencies)
        if wanted.alone:
            self._run("apt-get", "download", *wanted.alone, cwd=archives)
        packages = sorted((_keep(deb) for deb in archives.glob("*.deb")), key=lambda package: package.name)
        named = {name for name in (*wanted.with_dependencies, *wanted.alone) if not name.startswith("?")}
        missing = named - {package.name for package in packages}
        if missing:
            raise BuildError(f"apt did not fetch {', '.join(sorted(missing))}", "is it a virtual package? Name a real one")
        return tuple(packages)

    def fetch_source(self, name: str, folder: Path) -> None:
        """Download a source package's files into `folder`, checked against the archive's index. The suites must be deb-src."""
        self._run("apt-get", "source", "--download-only", name, cwd=folder)

    def _answers(self, suite: Suite) -> bool:
        failure = self._try_update((suite,))
        if failure is not None:
            self._progress.say(f"going on without {suite.name}: {suite.uri} has no consistent index now; --refresh asks again")
        return failure is None

    def _try_update(self, suites: tuple[Suite, ...]) -> BuildError | None:
        (self._folder / "sources.list").write_text(sources_list(suites))
        (self._folder / "etc" / "preferences.d" / "suites").write_text(preferences(suites))
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


def host_suites(release: str) -> tuple[Suite, ...]:
    """Where this machine gets the packages of a Debian release from, or where the setting says.

    Raises:
        BuildError: nowhere, or Debian's archive keys are not installed.
    """
    mirror = os.environ.get(MIRROR_SETTING, "")
    if mirror:
        suites = suites_from_mirror(mirror, release)
    else:
        targets = ["apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"]
        hint = "the builder reads and unpacks Debian packages with apt and dpkg; on other systems use a Debian container"
        suites = suites_from_index_targets(run(targets, timeout_s=60, hint=hint), release)
    if not Path(KEYRING).is_file():
        raise BuildError(f"{KEYRING} is missing, so packages cannot be verified", "install the package debian-archive-keyring")
    return suites


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


def _keep(deb: Path) -> Package:
    name, version, _ = deb.name.split("_")
    package = Package(name, version.replace("%3a", ":"), file_sha256(deb))
    shutil.move(deb, package.path)
    return package


def _empty(folder: Path) -> None:
    for deb in folder.glob("*.deb"):
        deb.unlink()
