"""Fetches the Python packages that are frozen, exactly as freeze.lock pins them, and unpacks them into a folder.

Installs nothing on this machine and runs no code of the packages, with one exception: pip asks PyInstaller's source
archive for its metadata before it hands it over, which runs the pinned setuptools.
"""

import re
import sys
import zipfile
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import cached_folder, file_sha256, key_of
from initramfs.command import run
from initramfs.errors import BuildError
from initramfs.progress import Progress

LOCK = Path(__file__).with_name("freeze.lock")
PIP_TIMEOUT_S = 900.0
_REQUIREMENT = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


def pinned_versions(lock: str) -> dict[str, str]:
    """Name -> version of every requirement in a lock file's text."""
    return dict(_REQUIREMENT.findall(lock))


def site_folder(architecture: Architecture, progress: Progress) -> Path:
    """A folder for PYTHONPATH with all pinned packages, for one architecture."""

    def make(site: Path) -> None:
        with progress.step(f"fetching {architecture.name} wheels"):
            for wheel in _download_wheels(architecture, site / "wheels"):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(site)
                wheel.unlink()
            (site / "wheels").rmdir()

    return cached_folder("wheels", key_of([file_sha256(LOCK), architecture.wheel_platform, architecture.release.python]), make)


def source_archive(name: str, site: Path, progress: Progress) -> Path:
    """The pinned source archive of one package; `site` is a folder that `site_folder` made, with setuptools in it."""
    version = pinned_versions(LOCK.read_text())[name]

    def make(folder: Path) -> None:
        with progress.step(f"fetching the source of {name} {version}"):
            only = folder / "requirement.txt"
            only.write_text(_requirement_of(name, LOCK.read_text()))
            # No build isolation: pip would fetch a setuptools that nobody pinned.
            arguments = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes", "-r", str(only)]
            _pip_download(arguments, folder, {"PYTHONPATH": str(site)})
            only.unlink()

    folder = cached_folder("sources", key_of([file_sha256(LOCK), name]), make)
    return next(folder.iterdir())


def _requirement_of(name: str, lock: str) -> str:
    """The lines of one requirement with its hashes."""
    start = re.search(rf"^{re.escape(name)}==", lock, re.MULTILINE)
    if not start:
        raise BuildError(f"{LOCK.name} does not pin {name}", "make it again as the comment in freeze.in says")
    end = _REQUIREMENT.search(lock, start.end())
    return lock[start.start() : end.start() if end else None]


def _download_wheels(architecture: Architecture, folder: Path) -> list[Path]:
    platform = [
        "--platform",
        architecture.wheel_platform,
        "--python-version",
        architecture.release.python,
        "--implementation",
        "cp",
    ]
    arguments = ["--no-deps", "--only-binary", ":all:", *platform, "--require-hashes", "-r", str(LOCK)]
    _pip_download(arguments, folder, {})
    return sorted(folder.iterdir())


def _pip_download(arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
    run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *arguments, "--dest", folder],
        timeout_s=PIP_TIMEOUT_S,
        environment=environment,
        hint="is the Python package index reachable? pip's own settings (index-url, proxy, cert) are honoured",
    )
