"""A board with busybox and nothing else: its files are a tree's, in a root of its own, and the script runs there."""

import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
SCRIPT = CHECKOUT / "scripts/capture-board"
BUSYBOX = Path("/bin/busybox")
# The door to other roots: a plain user is root in there, too.
ENTER = ("unshare", "--map-root-user", "--mount", "chroot")
TIMEOUT_S = 300


def furnish(root: Path) -> None:
    """Add busybox with what it is linked to, a place for the script's own files, and the script."""
    for name in ("bin", "tmp", "out"):
        (root / name).mkdir(exist_ok=True)
    for program in (BUSYBOX, *libraries_of(BUSYBOX)):
        place = root / str(program).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, place)
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True, timeout=60).stdout.split()
    for applet in set(applets) - {"busybox"}:
        (root / "bin" / applet).symlink_to("busybox")
    shutil.copy(SCRIPT, root / "capture-board")
    # A plain user makes no device nodes; of this one the script takes a few kB.
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev/zero").write_bytes(bytes(1 << 16))


def capture(root: Path) -> bytes:
    """What the script packs in this root."""
    argv = [*ENTER, str(root), "/bin/sh", "/capture-board", "/out/board.tar.gz"]
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/bin:/usr/bin:/usr/sbin:/sbin"},
    )
    assert done.returncode == 0, done.stderr
    return (root / "out/board.tar.gz").read_bytes()


def libraries_of(program: Path) -> list[Path]:
    """What the dynamic linker loads for it, and the linker itself; nothing for a static one."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False, timeout=60)
    words = [word for line in done.stdout.splitlines() for word in line.split()]
    return [Path(word) for word in words if word.startswith("/")] if done.returncode == 0 else []
