"""A small Debian archive on this disk with exactly the packages of one root file system, for mmdebstrap to install from.

They were verified when they were fetched (initramfs/private_apt.py) and are named by their digest, so this archive needs no
signature, and installing needs no network.
"""

import os
import shutil
from pathlib import Path

from initramfs.command import run
from initramfs.private_apt import Package

INDEX_TIMEOUT_S = 600.0


def write_archive(packages: tuple[Package, ...], release: str, folder: Path) -> str:
    """Put the packages and their index into `folder`; returns the line of a sources.list for it."""
    folder.mkdir()
    for package in packages:
        _link(package.path, folder / f"{package.name}.deb")
    hint = "apt-get install dpkg-dev apt-utils"
    index = run(["dpkg-scanpackages", "--multiversion", "."], cwd=folder, timeout_s=INDEX_TIMEOUT_S, hint=hint)
    (folder / "Packages").write_text(index)
    # mmdebstrap asks for the essential packages of the release by its name.
    settings = [f"-oAPT::FTPArchive::Release::{name}={release}" for name in ("Suite", "Codename")]
    text = run(["apt-ftparchive", *settings, "release", "."], cwd=folder, timeout_s=INDEX_TIMEOUT_S, hint=hint)
    (folder / "Release").write_text(text)
    # By its copy method apt puts the packages where the chroot sees them; by file it would not.
    return f"deb [trusted=yes] copy:{folder} ./"


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
