"""Builds the file system of a simulated board, in the mount namespace of the process that becomes its /init.

The loader's tree lies under a RAM file system of the board's own size; /proc and /sys are the namespace's; of /dev there is
what every program needs, and no disk, console or watchdog.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.run import run
from scripts.faults.confinement import LIBC

MNT_DETACH = 2
MOUNT_S = 20.0
DEVICES = ("null", "zero", "full", "random", "urandom")
PLACE = Path("/run/board")


@dataclass(frozen=True)
class BoardRoot:
    """`lower`: folders that are laid over each other, the first on top. `files`: path -> content, written into the board's own.

    `record`: where the stand-ins leave what they were given. `identity`: the captured board's tree.
    """

    lower: tuple[str, ...]
    identity: str
    record: str
    command_line: str
    root_mib: int
    files: dict[str, str]


def build_root(root: BoardRoot) -> None:
    """From here on this process sees the board's files only. Raises OSError, CommandError."""
    _mount("--make-rprivate", "/")
    PLACE.mkdir(exist_ok=True)  # one of an earlier power-on; the mount below is this process's alone
    _mount("-t", "tmpfs", "-o", f"size={root.root_mib}m,mode=755", "tmpfs", str(PLACE))
    top, upper, work = (PLACE / name for name in ("root", "upper", "work"))
    for folder in (top, upper, work):
        folder.mkdir()
    _mount("-t", "overlay", "-o", f"lowerdir={':'.join(root.lower)},upperdir={upper},workdir={work}", "overlay", str(top))
    for path, content in root.files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(content)
    (top / "bootpilot/identity").mkdir(parents=True)
    _bind(root.identity, top / "bootpilot/identity")
    (top / "record").mkdir()
    _bind(root.record, top / "record")
    _mount_kernel_files(top, root)
    os.chdir(top)
    # pivot_root(2), "pivot_root(".", ".")": the old root lies on top of the new one, and is taken away.
    if LIBC.pivot_root(b".", b".") != 0 or LIBC.umount2(b".", MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chdir("/")


def _mount_kernel_files(top: Path, root: BoardRoot) -> None:
    _mount("-t", "proc", "proc", str(top / "proc"))
    _mount("-t", "sysfs", "-o", "ro", "sysfs", str(top / "sys"))
    _mount("-t", "tmpfs", "-o", "mode=755,size=1m", "tmpfs", str(top / "dev"))
    for name in DEVICES:
        (top / "dev" / name).touch()
        _bind(f"/dev/{name}", top / "dev" / name)
    line = PLACE / "cmdline"
    line.write_text(root.command_line + "\n")
    _bind(str(line), top / "proc/cmdline")
    if (trigger := top / "proc/sysrq-trigger").exists():
        _bind("/dev/null", trigger)


def _bind(source: str, target: Path) -> None:
    _mount("--bind", source, str(target))


def _mount(*words: str) -> None:
    run(["mount", *words], timeout_s=MOUNT_S)
