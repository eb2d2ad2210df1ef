"""Finds a QEMU that is new enough for a machine: the installed one, or else Debian's backport, unpacked into the cache.

The unpacked one runs with its own C library and libraries, so that nothing of this machine's has to fit. Installs nothing.
"""

import dataclasses
import re
import shutil

from bootpilot_agent.errors import AgentError
from bootpilot_agent.run import run
from initramfs.architectures import ARCHITECTURES, BOOKWORM, Architecture, Release
from initramfs.mirrors import Suite
from initramfs.packages import Packages
from initramfs.private_apt import PackageSet, host_suites
from initramfs.progress import Progress
from scripts.lab.errors import LabError

Version = tuple[int, int]

BACKPORTS = "bookworm-backports"
# apt's own for an ordinary archive; backports are below it until somebody asks.
ORDINARY_PRIORITY = 500
VERSION = re.compile(r"^QEMU emulator version (\d+)\.(\d+)", re.MULTILINE)
TIMEOUT_S = 60.0
# Program -> Debian package of the same name, but for:
PACKAGES = {"qemu-system-aarch64": "qemu-system-arm", "qemu-system-x86_64": "qemu-system-x86"}


def qemu_command(program: str, least: Version) -> tuple[str, ...]:
    """How to start `program` (e.g. qemu-system-arm) in version `least` or later.

    Raises:
        BuildError: the installed one is older or missing, and Debian's backport cannot be had.
        LabError: neither is new enough.
    """
    if installed_version((program,)) >= least:
        return (program,)
    command = _backported(program)
    found = installed_version(command)
    if found < least:
        raise LabError(f"{program} {_text(least)} or later is needed; Debian's backport is {_text(found)}")
    return command


def installed_version(command: tuple[str, ...]) -> Version:
    """What a QEMU says of itself; (0, 0) if it cannot be started."""
    if not shutil.which(command[0]):
        return (0, 0)
    try:
        return read_version(run([*command, "--version"], timeout_s=TIMEOUT_S).stdout)
    except AgentError:
        return (0, 0)


def read_version(text: str) -> Version:
    """Major and minor number out of what --version prints; (0, 0) if there are none."""
    found = VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _backported(program: str) -> tuple[str, ...]:
    host = run(["dpkg", "--print-architecture"], timeout_s=TIMEOUT_S).stdout.strip()
    if host not in ARCHITECTURES:
        raise LabError(f"no backport of {program} is fetched for {host}", "install a newer QEMU")
    architecture = dataclasses.replace(ARCHITECTURES[host], release=Release(BACKPORTS, BOOKWORM.python))
    packages = Packages(architecture, Progress(), suites=_suites)
    root = packages.unpacked(packages.resolve(PackageSet(with_dependencies=(PACKAGES.get(program, program),))))
    return (
        *[str(root / architecture.dynamic_loader), "--library-path", _library_path(str(root), architecture)],
        *[str(root / "usr/bin" / program), "-L", str(root / "usr/share/qemu")],
    )


def _library_path(root: str, architecture: Architecture) -> str:
    return ":".join(f"{root}/{folder}/{architecture.triplet}" for folder in ("lib", "usr/lib"))


def _suites(_: str) -> tuple[Suite, ...]:
    suites = host_suites(BOOKWORM.name)
    return (*suites, Suite(suites[0].uri, BACKPORTS, required=True, priority=ORDINARY_PRIORITY))


def _text(version: Version) -> str:
    return ".".join(str(number) for number in version)
