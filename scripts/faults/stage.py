"""Lays out what all boards of a run share, where a user without rights can read it: the loader's root, boards, programs.

What runs in the namespaces reads nothing but this folder and its own: neither the checkout nor the cache need be open to it.
"""

import errno
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.cpio import Entry
from bootpilot_agent.run import run
from scripts.benchmark.baseline import read_cpio
from scripts.faults.confinement import NOBODY
from scripts.faults.errors import ConfinementError

HERE = Path(__file__).parent
BOARDS = HERE.parents[1] / "tests/data/boards"
# Program on the board -> what stands for it.
STAND_INS = {
    "kexec": "kexec",
    "reboot": "ending",
    "poweroff": "ending",
    "halt": "ending",
    "modprobe": "nothing",
    "mount": "nothing",
}
UNPACK_S = 300.0


@dataclass(frozen=True)
class Stage:
    """`tree`: the loader's root, with the stand-ins. `boards`: identities by name. `script_root`: the yardstick, over it."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def boards(self) -> Path:
        return self.folder / "boards"

    @property
    def script_root(self) -> Path:
        return self.folder / "script-root"


def lay_out(initramfs: Path, folder: Path) -> Stage:
    """Unpack and copy everything into `folder`. Raises OSError, CommandError."""
    stage = Stage(folder)
    plain = folder / "initramfs.cpio"
    run(["zstd", "--quiet", "-d", "-o", str(plain), str(initramfs)], timeout_s=UNPACK_S)
    unpack(plain.read_bytes(), stage.tree)
    plain.unlink()
    for name, program in STAND_INS.items():
        place = stage.tree / "usr/sbin" / name
        place.unlink(missing_ok=True)
        shutil.copy(HERE / "programs" / program, place)
        place.chmod(0o755)
    for board in sorted(path for path in BOARDS.iterdir() if (path / "root").is_dir()):
        shutil.copytree(board / "root", stage.boards / board.name, symlinks=True)
    (stage.script_root / "script").mkdir(parents=True)
    for name, target in (("script_init", "init"), ("script_dhcp", "script/script_dhcp")):
        shutil.copy(HERE / name, stage.script_root / target)
        (stage.script_root / target).chmod(0o755)
    clock = stage.tree / "usr/lib/board-clock.so"
    run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(clock), str(HERE / "clock.c")], timeout_s=60)
    give_away(folder)
    return stage


def give_away(folder: Path) -> None:
    """To the user whom root becomes in there: root of a user namespace may only change what its own user owns.

    Raises ConfinementError where this is no real root, OSError.
    """
    if os.getuid() == 0:
        try:
            os.chown(folder, NOBODY, NOBODY)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise ConfinementError(
                "the root of a user namespace cannot become nobody, and nobody's root is what a board is played by",
                "start this as a plain user, or as the machine's root (unshare --net without --map-root-user)",
            ) from error
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(parent) / name, NOBODY, NOBODY, follow_symlinks=False)


def unpack(content: bytes, folder: Path) -> None:
    """The files, folders and links of an initramfs; device nodes are the namespace's business."""
    folder.mkdir()
    for entry in read_cpio(content):
        path = folder / entry.name.lstrip("/")
        if stat.S_ISDIR(entry.mode):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(stat.S_IMODE(entry.mode))
        elif stat.S_ISLNK(entry.mode):
            path.symlink_to(_bytes_of(entry).decode())
        elif stat.S_ISREG(entry.mode):
            path.write_bytes(_bytes_of(entry))
            path.chmod(stat.S_IMODE(entry.mode))


def _bytes_of(entry: Entry) -> bytes:
    return entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
