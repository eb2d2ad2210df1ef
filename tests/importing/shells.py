"""The shells that installers have, with the programs that come with each."""

import shutil
from pathlib import Path

SHELLS = ("bash", "busybox", "dash")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# What the scripts use of busybox in installers; blkid and wget are programs of their own there, too.
APPLETS = (
    *("awk", "base64", "basename", "cat", "chmod", "cut", "dd", "dirname", "grep", "head", "mkdir", "mount", "mv", "readlink"),
    *("rm", "rmdir", "sed", "sleep", "sort", "sync", "tail", "touch", "tr", "umount", "wc"),
)


def start_argv(shell: str, folder: Path, *others: str) -> list[str]:
    """How to start a script in this shell. It finds the machine's programs, or with busybox its applets and these `others`."""
    if shell != "busybox":
        options = ["--posix"] if shell == "bash" else []
        return ["env", f"PATH={PATH}", shell, *options]
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name in (*APPLETS, *others):
        found = shutil.which("busybox" if name in APPLETS else name, path=PATH)
        assert found, name
        (programs / name).symlink_to(found)
    return ["env", f"PATH={programs}", "/usr/bin/busybox", "sh"]
