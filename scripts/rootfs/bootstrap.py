"""Installs a Debian with mmdebstrap: every package configured in its own chroot, as root or as an ordinary user.

The packages come from a small archive on this disk. The chroot, the hooks and the archive lie in one folder that the caller
deletes.
"""

import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.command import run
from initramfs.errors import BuildError
from initramfs.mirrors import Suite, sources_list
from initramfs.packages import built_unix_s
from initramfs.private_apt import Package
from initramfs.progress import Progress
from scripts.rootfs.customising import HOST_KEYS_DROP_IN, customising_script, kept_settings
from scripts.rootfs.description import Description
from scripts.rootfs.local_archive import write_archive
from scripts.rootfs.overlay_archive import OverlayFile, write_overlays
from scripts.rootfs.tar_archive import add_folder

IN_NAMESPACE = Path(__file__).with_name("in_namespace.sh")
# Half an hour for two hundred packages under emulation on a busy machine; a dozen times that is stuck.
INSTALL_TIMEOUT_S = 6 * 3600.0
TELL_EVERY_S = 60.0
NAMESPACE_HINT = (
    "mmdebstrap as an ordinary user needs the package uidmap, a range of IDs in /etc/subuid and /etc/subgid, and a home that "
    "other users may enter (chmod o+x); as root it needs none of these"
)
# No nodes in the archive: the kernel's devtmpfs makes them, and an installer takes no image that brings any.
SKIPPED = ("check/qemu", "output/dev")


@dataclass(frozen=True)
class Source:
    """What is installed: the packages, of which release, and where the installed system gets newer ones."""

    release: str
    packages: tuple[Package, ...]
    names: tuple[str, ...]
    suites: tuple[Suite, ...]


def install(
    described: Description,
    architecture: Architecture,
    source: Source,
    files: tuple[OverlayFile, ...],
    work: Path,
    progress: Progress,
) -> Path:
    """The root file system as a tar archive in `work`. `files` are laid down with the overlays.

    Raises:
        BuildError: mmdebstrap is missing or failed; the message ends with what it said last.
    """
    archive = write_archive(source.packages, source.release, work / "archive")
    early = (*files, HOST_KEYS_DROP_IN) if "openssh-server" in source.names else files
    write_overlays(described.overlays, early, work / "overlays.tar")
    (work / "customise.sh").write_text(customising_script(described, sources_list(source.suites)), encoding="utf-8")
    argv = mmdebstrap_argv(described, architecture, source, archive, work)
    chroots = work / "chroots"
    chroots.mkdir()
    with telling_how_far(chroots, len(source.packages), progress):
        _run_mmdebstrap(architecture, argv, chroots, built_unix_s(source.packages))
    add_folder(work / "root.tar", "./dev", built_unix_s(source.packages))
    return work / "root.tar"


def mmdebstrap_argv(described: Description, architecture: Architecture, source: Source, archive: str, work: Path) -> list[str]:
    """mmdebstrap's command: the essential packages and those named, and nothing that is only recommended."""
    lay_down = f'tar --directory="$1" --extract --keep-directory-symlink --file={work}/overlays.tar'
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=essential",
        "--format=tar",
        f"--architectures={architecture.name}",
        f"--include={','.join(source.names)}",
        *(f"--skip={step}" for step in SKIPPED),
        '--aptopt=APT::Install-Recommends "false"',
        # It would download as _apt, who cannot enter this folder.
        '--aptopt=APT::Sandbox::User "root"',
        # The chroot is thrown away if anything fails, so nothing needs to be safe on the disk.
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt={line}" for line in kept_settings(described.exclude)),
        # Before the packages, whose scripts read their settings; and after them, for files that a package brings too.
        f"--essential-hook={lay_down}",
        f"--customize-hook={lay_down}",
        f'--customize-hook=sh {work}/customise.sh "$1"',
        source.release,
        str(work / "root.tar"),
        archive,
    ]


def _run_mmdebstrap(architecture: Architecture, argv: list[str], chroots: Path, time_s: int) -> None:
    handler = "-" if platform.machine() in architecture.uname_machines else f"qemu-{architecture.emulator}"
    # No file is younger than the packages: the same packages give the same archive.
    environment = {
        "TMPDIR": str(chroots),
        "SOURCE_DATE_EPOCH": str(time_s),
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
    }
    hint = "apt-get install mmdebstrap"
    try:
        run(["sh", IN_NAMESPACE, handler, *argv], timeout_s=INSTALL_TIMEOUT_S, environment=environment, hint=hint)
    except BuildError as error:
        error.hint = NAMESPACE_HINT if "newuidmap" in error.message or "unshare" in error.message.splitlines()[-1] else hint
        raise


@contextmanager
def telling_how_far(chroots: Path, count: int, progress: Progress) -> Iterator[None]:
    """Every minute, how many of the packages dpkg has configured."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(TELL_EVERY_S):
            progress.say(f"{configured_packages(chroots)} of {count} packages are configured")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def configured_packages(chroots: Path) -> int:
    """How many packages dpkg has configured so far, by its log."""
    logs = list(chroots.glob("*/var/log/dpkg.log"))
    text = logs[0].read_text(encoding="utf-8", errors="replace") if logs else ""
    return len({line.split()[4] for line in text.splitlines() if " status installed " in line})
