"""Freezes the agent and the installer: Python, a program and its libraries in one folder that needs only the C library.

PyInstaller itself runs in the target's root (see chroot.py); everything else is done on the host. The same sources, lock
and packages give the same bytes.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.bootloader import cross_compiled_bootloader
from initramfs.cache import cached_folder, file_sha256, key_of, tree_digests
from initramfs.chroot import run_in_root
from initramfs.private_apt import Package
from initramfs.progress import Progress
from initramfs.wheels import LOCK, site_folder

HERE = Path(__file__).parent
SOURCES = HERE.parent / "agent"
# The programs' own: modules, and texts that they put elsewhere.
_FILES = ("**/*.py", "files/*")
SPEC = "frozen.spec"
FREEZE_TIMEOUT_S = 1800.0

_FIXED: Mapping[str, str] = {
    "SOURCE_DATE_EPOCH": "315532800",  # 1980, the earliest date that a zip file can carry
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Columns of expressions, a sixth of the compiled code: a traceback shows them only where it finds the source.
    "PYTHONNODEBUGRANGES": "1",
    "PYINSTALLER_CONFIG_DIR": "/tmp/pyinstaller",  # noqa: S108  # a tmpfs of the namespace's own
}


@dataclass(frozen=True)
class Program:
    """One program to freeze: its name, its entry script, and the packages of ours that it is made of."""

    name: str
    entry: str
    packages: tuple[str, ...]


AGENT = Program("bootpilot-agent", "agent_entry.py", ("bootpilot_agent",))
INSTALLER = Program("bootpilot-install", "install_entry.py", ("bootpilot_agent", "bootpilot_install"))


def freeze_key(program: Program, architecture: Architecture, packages: tuple[Package, ...]) -> str:
    """Changes with anything that the frozen program is made of."""
    return key_of(
        [
            program.name,
            architecture.name,
            tree_digests(SOURCES, tuple(f"{package}/{files}" for package in program.packages for files in _FILES)),
            tree_digests(HERE, (SPEC, program.entry, "freeze.py", "hooks/*.py")),
            file_sha256(LOCK),
            [package.sha256 for package in packages],
        ]
    )


def frozen(program: Program, architecture: Architecture, packages: tuple[Package, ...], root: Path, progress: Progress) -> Path:
    """The folder with the program and all it needs but the C library. `root` is `packages`, unpacked.

    Raises:
        BuildError: PyInstaller failed, or what it made does not start.
    """

    def make(folder: Path) -> None:
        site = site_folder(architecture, progress)
        bootloader = cross_compiled_bootloader(architecture, site, progress)
        work = folder / "work"
        _stage(program, work, site, bootloader, architecture)
        with progress.step(f"freezing {program.name} for {architecture.name}"):
            _freeze(program, architecture, root, work)
        (work / "dist" / program.name).rename(folder / program.name)
        shutil.rmtree(work)

    return cached_folder("agents", freeze_key(program, architecture, packages), make) / program.name


def _stage(program: Program, work: Path, site: Path, bootloader: Path | None, architecture: Architecture) -> None:
    shutil.copytree(site, work / "site")
    for package in program.packages:
        shutil.copytree(SOURCES / package, work / "agent" / package, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copytree(HERE / "hooks", work / "hooks", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (SPEC, program.entry):
        shutil.copy(HERE / name, work / name)
    if bootloader:
        shutil.copytree(bootloader, work / "site" / "PyInstaller" / "bootloader" / architecture.cross_bootloader)


def _freeze(program: Program, architecture: Architecture, root: Path, work: Path) -> None:
    # /work: `work` as PyInstaller sees it, mounted in the namespace of the root that it runs in, and nowhere on the machine.
    folders = ["--distpath", "/work/dist", "--workpath", "/work/build"]
    python = f"python{architecture.release.python}"
    argv = [python, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", *folders, f"/work/{SPEC}"]
    settings = {**_FIXED, "PYTHONPATH": "/work/site", "BOOTPILOT_PROGRAM": program.name}
    run_in_root(architecture, root, argv, work=work, settings=settings, timeout_s=FREEZE_TIMEOUT_S)
