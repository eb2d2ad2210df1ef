"""Runs programs of a foreign architecture inside an unpacked root, as an ordinary user.

Owns the namespaces: user, mount and process namespaces of its own, so that nothing is mounted for the machine. The foreign
programs run under qemu-user by binfmt_misc: by the machine's handler if it has one, else, since Linux 6.7 (21ca59b365c0
"binfmt_misc: enable sandboxed mounts"), by a handler in the namespace only.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.command import run

HANDLERS = Path("/usr/lib/binfmt.d")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
MOUNT_POINTS = ("proc", "dev", "tmp", "work")

# `runs` tells a program of the wrong format (126, 127) from one that merely fails.
_SCRIPT = """\
set -eu
root={root}
mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
: >"$root/dev/null"
mount --bind /dev/null "$root/dev/null"
mount -t tmpfs tmpfs "$root/tmp"
[ -z {work} ] || mount --bind {work} "$root/work"
runs() {{ code=0; chroot "$root" {probe} >/dev/null 2>&1 || code=$?; [ "$code" -lt 126 ]; }}
if ! runs && [ -r {handler} ]; then
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && cat {handler} >/proc/sys/fs/binfmt_misc/register || :
fi
runs || {{ echo "this machine cannot run {name} programs: binfmt_misc has no handler {emulator}" >&2; exit 1; }}
exec env -i PATH={path} HOME=/tmp LC_ALL=C.UTF-8 {settings} chroot "$root" {command}
"""
HINT = (
    "building needs user namespaces, and for foreign architectures qemu-user-static (Debian 13: qemu-user-binfmt); "
    "where binfmt_misc has lost its handlers: systemctl restart systemd-binfmt"
)


def prepare_root(root: Path) -> None:
    """Make what maintainer scripts would have made in a freshly unpacked root, and the mount points."""
    for name in MOUNT_POINTS:
        (root / name).mkdir(exist_ok=True)
    (root / "bin" / "sh").symlink_to("bash")


def run_in_root(
    architecture: Architecture,
    root: Path,
    argv: Sequence[str],
    *,
    timeout_s: float,
    work: Path | None = None,
    settings: Mapping[str, str] | None = None,
    probe: str = "/bin/true",
) -> str:
    """Run a program of `root` with `work`, if given, mounted at /work, and return its stdout. /tmp and /dev are fresh.

    `probe` is a program of the root that tells whether its architecture runs here at all.

    Raises:
        BuildError: it failed, or this machine cannot run such programs.
    """
    script = chroot_script(architecture, root, argv, work, settings or {}, probe)
    argv = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    return run(argv, timeout_s=timeout_s, hint=HINT)


def chroot_script(
    architecture: Architecture, root: Path, argv: Sequence[str], work: Path | None, settings: Mapping[str, str], probe: str
) -> str:
    """The shell script that runs inside the new namespaces."""
    return _SCRIPT.format(
        root=shlex.quote(str(root)),
        work=shlex.quote(str(work) if work else ""),
        handler=shlex.quote(str(HANDLERS / f"qemu-{architecture.emulator}.conf")),
        emulator=f"qemu-{architecture.emulator}",
        name=architecture.name,
        probe=shlex.quote(probe),
        path=PATH,
        settings=" ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items()),
        command=shlex.join(argv),
    )
