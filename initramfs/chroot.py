"""Runs programs of a foreign architecture inside an unpacked root, as an ordinary user.

Owns the namespaces: user, mount and process namespaces of its own, so that nothing is mounted for the machine. The foreign
programs run under qemu-user by binfmt_misc: by the machine's handler if it has one, else, since Linux 6.7 (21ca59b365c0
"binfmt_misc: enable sandboxed mounts"), by a handler in the namespace only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.command import run
from initramfs.errors import BuildError

SCRIPT = Path(__file__).with_name("chroot.sh")
MOUNT_POINTS = ("proc", "dev", "tmp", "work")
NAMESPACES_HINT = (
    "building without root needs user namespaces: sysctl user.max_user_namespaces must not be 0, and on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns must be"
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

    `probe` is a short command of the root that tells whether its architecture runs here at all.

    Raises:
        BuildError: it failed, or this machine cannot run such programs.
    """
    try:
        return run(chroot_argv(architecture, root, argv, work, settings or {}, probe), timeout_s=timeout_s)
    except BuildError as error:
        if "unshare: " in error.message:
            error.hint = NAMESPACES_HINT
        raise


def chroot_argv(
    architecture: Architecture, root: Path, argv: Sequence[str], work: Path | None, settings: Mapping[str, str], probe: str
) -> list[str]:
    """The command that enters new namespaces and then the root."""
    namespaces = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
    script = ["sh", str(SCRIPT), f"qemu-{architecture.emulator}", str(root), str(work or "-"), probe]
    return [*namespaces, *script, *(f"{name}={value}" for name, value in settings.items()), "chroot", str(root), *argv]
