"""Mounts the new system's partitions below one folder, and unmounts them so that all is on the disk. Owns these mounts."""

import ctypes
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bootpilot_agent.devices import Run
from bootpilot_agent.errors import AgentError, CommandError
from bootpilot_agent.install_order import FileSystem, PartitionOrder
from bootpilot_agent.mark import MARK_FILE, MARK_PARTITION_TYPE, Mark
from bootpilot_install.errors import DiskError, ImageError, MarkError
from bootpilot_install.layout import mount_options
from bootpilot_install.tree import Tree

MOUNT_S = 120.0
# A cache of gigabytes goes to a slow USB stick.
UNMOUNT_S = 1800.0
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")


@dataclass(frozen=True)
class Part:
    """One partition of the new system with its device node. `order` is None where nobody ordered it, as the mark's."""

    number: int
    partuuid: str
    size_bytes: int
    device: Path
    order: PartitionOrder | None = None
    kind: str = ""
    is_root: bool = False

    @property
    def mount(self) -> str:
        """Where it belongs, "" for what is mounted nowhere."""
        return "/" if self.is_root else self.order.mount if self.order else ""


@dataclass
class Mounts:
    """All below `target`."""

    target: Path
    run: Run
    _mounted: list[Path] = field(default_factory=list)

    def mount_new(self, parts: Sequence[Part]) -> None:
        """What was ordered, the root first, each inside the one that it belongs to. Raises DiskError."""
        for part in sorted((part for part in parts if part.mount), key=lambda part: part.mount.count("/") + len(part.mount)):
            if part.mount == "/":
                self.target.mkdir(parents=True, exist_ok=True)
            else:
                with Tree(self.target) as tree:  # new and empty: no link can lead elsewhere
                    tree.make_folder(part.mount)
            point = self.target / part.mount.lstrip("/")
            if part.order is not None:
                self._mount(part.device, point, part.order.file_system, mount_options(part.order.file_system))

    def mount_found(self, parts: Sequence[Part], say: Callable[[str], None]) -> list[Part]:
        """Of a disk image: the largest partition that holds a system is its root, and is mounted. Raises ImageError."""
        candidates = [part for part in parts if part.kind not in ("", MARK_PARTITION_TYPE)]
        for part in sorted(candidates, key=lambda part: part.size_bytes, reverse=True):
            self.target.mkdir(parents=True, exist_ok=True)
            try:
                self._mount(part.device, self.target, "auto", "noatime")
            except DiskError:
                continue
            with Tree(self.target) as tree:
                is_root = any(tree.has(path) or tree.is_link(path) for path in OS_RELEASE)
            if is_root:
                say(f"{part.device}: the image's root file system")
                return [replace(one, is_root=one is part) for one in parts]
            self.unmount()
        raise ImageError(
            "no partition of the image holds a Linux system (etc/os-release) that can be mounted",
            "is it the image of a whole disk, and has this kernel the file system's driver?",
        )

    def unmount(self) -> None:
        """All, flushed. Raises DiskError."""
        for point in reversed(list(self._mounted)):
            descriptor = os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _sync_file_system(descriptor, point)
            finally:
                os.close(descriptor)
            try:
                self.run(["umount", str(point)], timeout_s=UNMOUNT_S)
            except CommandError as error:
                raise DiskError(f"{point} cannot be unmounted: {error.message}") from error
            self._mounted.remove(point)

    def abandon(self) -> None:
        """After a failure: whatever can be unmounted is. Never raises."""
        for point in reversed(list(self._mounted)):
            with suppress(AgentError):
                self.run(["umount", "-l", str(point)], timeout_s=MOUNT_S, check=False)
        self._mounted.clear()

    def write_mark_file(self, root: Part, mark: Mark) -> None:
        """The mark of a disk that has no partition for one, in its root file system; read back. Raises MarkError, DiskError."""
        text = json.dumps(mark.to_json()) + "\n"
        self._mount(root.device, self.target, "auto", "noatime")
        with Tree(self.target) as tree:
            tree.make_folder(str(Path(MARK_FILE).parent))
            tree.write(MARK_FILE, text)
        self.unmount()
        self._mount(root.device, self.target, "auto", "ro")
        with Tree(self.target) as tree:
            found = tree.read_text(MARK_FILE)
        self.unmount()
        if found != text:
            raise MarkError(f"{root.device}: {MARK_FILE} reads back otherwise than it was written", "the disk is failing")

    def _mount(self, device: Path, point: Path, file_system: FileSystem | str, options: str) -> None:
        try:
            self.run(["mount", "-t", str(file_system), "-o", options, str(device), str(point)], timeout_s=MOUNT_S)
        except CommandError as error:
            raise DiskError(f"{device} cannot be mounted: {error.message}") from error
        self._mounted.append(point)


def _sync_file_system(descriptor: int, point: Path) -> None:
    """syncfs(2) tells of failed writes (Linux 5.8), which umount does not."""
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
        raise DiskError(f"{point}: cannot be flushed: {os.strerror(ctypes.get_errno())}", "is the disk failing?")
