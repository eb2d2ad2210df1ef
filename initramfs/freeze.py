"""Freezes the agent: Python's interpreter, the agent and its libraries in one folder that needs only the C library.

PyInstaller itself runs in the target's root (see chroot.py); everything else is done on the host. The same sources, lock
and packages give the same bytes.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.bootloader import cross_compiled_bootloader
from initramfs.cache import cached_folder, file_sha256, key_of, tree_digests
from initramfs.chroot import run_in_root
from initramfs.private_apt import Package
from initramfs.progress import Progress
from initramfs.wheels import LOCK, site_folder

HERE = Path(__file__).parent
AGENT_SOURCES = HERE.parent / "agent"
PROGRAM = "bootpilot-agent"
FREEZE_TIMEOUT_S = 1800.0

_FIXED: Mapping[str, str] = {
    "SOURCE_DATE_EPOCH": "315532800",  # 1980, the earliest date that a zip file can carry
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Columns of expressions, a sixth of the compiled code: a traceback shows them only where it finds the source.
    "PYTHONNODEBUGRANGES": "1",
    "PYINSTALLER_CONFIG_DIR": "/tmp/pyinstaller",  # noqa: S108  # a tmpfs of the namespace's own
}


def freeze_key(architecture: Architecture, packages: tuple[Package, ...]) -> str:
    """Changes with anything that the frozen agent is made of."""
    return key_of(
        [
            architecture.name,
            tree_digests(AGENT_SOURCES, ("bootpilot_agent/**/*.py",)),
            tree_digests(HERE, ("agent.spec", "agent_entry.py", "freeze.py", "hooks/*.py")),
            file_sha256(LOCK),
            [package.sha256 for package in packages],
        ]
    )


def frozen_agent(architecture: Architecture, packages: tuple[Package, ...], root: Path, progress: Progress) -> Path:
    """The folder with the program bootpilot-agent and all it needs but the C library. `root` is `packages`, unpacked.

    Raises:
        BuildError: PyInstaller failed, or what it made does not start.
    """

    def make(folder: Path) -> None:
        site = site_folder(architecture, progress)
        bootloader = cross_compiled_bootloader(architecture, site, progress)
        work = folder / "work"
        _stage(work, site, bootloader, architecture)
        with progress.step(f"freezing the agent for {architecture.name}"):
            _freeze(architecture, root, work)
        (work / "dist" / PROGRAM).rename(folder / PROGRAM)
        shutil.rmtree(work)

    return cached_folder("agents", freeze_key(architecture, packages), make) / PROGRAM


def _stage(work: Path, site: Path, bootloader: Path | None, architecture: Architecture) -> None:
    shutil.copytree(site, work / "site")
    shutil.copytree(
        AGENT_SOURCES / "bootpilot_agent", work / "agent" / "bootpilot_agent", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(HERE / "hooks", work / "hooks", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("agent.spec", "agent_entry.py"):
        shutil.copy(HERE / name, work / name)
    if bootloader:
        shutil.copytree(bootloader, work / "site" / "PyInstaller" / "bootloader" / architecture.cross_bootloader)


def _freeze(architecture: Architecture, root: Path, work: Path) -> None:
    folders = ["--distpath", "/work/dist", "--workpath", "/work/build"]
    python = f"python{architecture.release.python}"
    argv = [python, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN", *folders, "/work/agent.spec"]
    settings = {**_FIXED, "PYTHONPATH": "/work/site"}
    run_in_root(architecture, root, argv, work=work, settings=settings, timeout_s=FREEZE_TIMEOUT_S)
