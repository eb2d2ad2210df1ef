"""Runs programs of the new system inside it, with /dev, /proc and /sys of this one. What fails is said, and stays undone.

The system is whole without them: it makes host keys at its first start, and its old initrd boots it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.devices import Run
from bootpilot_agent.errors import CommandError

MOUNT_S = 30.0
# An RSA key under emulation; an initrd with hundreds of modules on a slow board.
KEYS_S = 300.0
INITRD_S = 1800.0
BOUND = ("dev", "proc", "sys")


@dataclass(frozen=True)
class Chroot:
    """One system at `target`."""

    target: Path
    run: Run
    say: Callable[[str], None]

    def make_host_keys(self) -> None:
        """One of each kind, as ssh-keygen -A does."""
        self._try("new SSH host keys", ["ssh-keygen", "-A"], KEYS_S)

    def make_initrds(self) -> None:
        """Of all kernels."""
        self.say("initrd: the image has a kernel without one; made now")
        self._try("initrd", ["update-initramfs", "-c", "-k", "all"], INITRD_S)

    def _try(self, what: str, argv: list[str], timeout_s: float) -> None:
        try:
            with self._bound():
                path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
                self.run(["chroot", str(self.target), "/usr/bin/env", "-i", path, "LC_ALL=C", *argv], timeout_s=timeout_s)
        except CommandError as error:
            self.say(f"{what}: {error.message}; going on without")

    @contextmanager
    def _bound(self) -> Iterator[None]:
        done: list[Path] = []
        try:
            for name in BOUND:
                point = self.target / name
                # The image may have a link of that name, which mount would follow.
                if point.is_symlink() or not point.is_dir():
                    raise CommandError(f"/{name} of the new system is no folder")
                self.run(["mount", "--bind", f"/{name}", str(point)], timeout_s=MOUNT_S)
                done.append(point)
            yield
        finally:
            for point in reversed(done):
                with suppress(CommandError):
                    self.run(["umount", "-l", str(point)], timeout_s=MOUNT_S)
