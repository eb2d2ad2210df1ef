"""Makes a payload in memory of one entry of a system's boot files: copied, unpacked, checked, and with what it is told.

Reads the mounted partition through its tree, and writes into the payload's folder only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import memory
from bootpilot_agent.board_tree import find_board_tree
from bootpilot_agent.boot_files.entry import BootFileError, Entry
from bootpilot_agent.confined_tree import ConfinedTree
from bootpilot_agent.cpio import Entry as ArchiveEntry
from bootpilot_agent.cpio import write_cpio
from bootpilot_agent.device_tree import check_device_tree
from bootpilot_agent.devices import Devices
from bootpilot_agent.hardware import read_board
from bootpilot_agent.initrd_word import initrd_word
from bootpilot_agent.kernel_image import check_kernel
from bootpilot_agent.launch import file_sizes
from bootpilot_agent.payload import Payload, clear_folder
from bootpilot_agent.plan import Artifact, BootPayload, DtbPolicy, check_command_line
from bootpilot_agent.report import has_running_tree
from bootpilot_agent.unpacking import MOST_BYTES, unpack_kernel

COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class DiskPayload:
    """Makes it in the devices' folder. `last_archive` is what the system is told, as the end of its initrd."""

    devices: Devices
    arch: str
    last_archive: Sequence[ArchiveEntry]

    def take(self, entry: Entry, tree: ConfinedTree) -> Payload:
        """Everything of this entry. Raises AgentError, BootFileError, FieldError or OSError."""
        check_command_line(entry.command_line, self.arch)
        self._check_fit(entry, tree)
        folder = self.devices.folder
        folder.mkdir(parents=True)
        kernel, initrd = folder / "kernel", folder / "initrd"
        copy(tree, entry.kernel, kernel, MOST_BYTES)
        unpack_kernel(kernel)
        image = check_kernel(kernel, self.arch)
        self._join(entry.initrds, tree, initrd)
        payload = Payload(kernel, initrd, self._own_tree(entry, tree), entry.command_line)
        memory.check_loading(file_sizes(payload, image.memory_bytes), self.arch, memory.read_memory(self.devices.root))
        initrds = ", ".join(entry.initrds) or "no initrd"
        self.devices.console.say(f"disk: {entry.source} on {tree.name}: {entry.kernel}, {initrds}")
        return payload

    def _check_fit(self, entry: Entry, tree: ConfinedTree) -> None:
        """As for what a plan has fetched, before the first byte is copied."""
        clear_folder(self.devices.folder)
        kernel = Artifact((), tree.size_of(entry.kernel), "")
        initrds = tuple(Artifact((), tree.size_of(path), "") for path in entry.initrds)
        boot = BootPayload("", kernel, initrds, DtbPolicy.RUNNING, None, entry.command_line, ())
        memory.check_fit(boot, self.arch, memory.read_memory(self.devices.root, self.devices.folder.parent))

    def _join(self, paths: Sequence[str], tree: ConfinedTree, initrd: Path) -> None:
        with initrd.open("wb") as target:
            for path in paths:
                with tree.open(path) as source:
                    while chunk := source.read(COPY_BYTES):
                        target.write(chunk)
                target.write(b"\0" * (-target.tell() % 4))
            write_cpio([*self.last_archive, *initrd_word()], target)

    def _own_tree(self, entry: Entry, tree: ConfinedTree) -> Path | None:
        """The tree that belongs to this kernel, as this board's own; None for the running one."""
        root, say = self.devices.root, self.devices.console.say
        if not has_running_tree(root):
            return None
        path = entry.dtb
        if not path and entry.dtb_folder:
            path = find_board_tree(tree, entry.dtb_folder, read_board(root).compatible)
            say(f"disk: {path or f'no device tree for this board in {entry.dtb_folder}, so the running one'}")
        if not path:
            return None
        from bootpilot_agent.plan_tree import MAX_BYTES, make_own

        dtb = self.devices.folder / "dtb"
        copy(tree, path, dtb, MAX_BYTES)
        check_device_tree(dtb)
        overlays = [self.devices.folder / f"overlay-{number}" for number, _ in enumerate(entry.overlays)]
        for name, overlay in zip(entry.overlays, overlays, strict=True):
            copy(tree, name, overlay, MAX_BYTES)
            check_device_tree(overlay)
        make_own(dtb, overlays, root, say, whose="the disk's")
        return dtb


def copy(tree: ConfinedTree, path: str, target: Path, most: int) -> None:
    """Raises BootFileError, OSError."""
    copied = 0
    with tree.open(path) as source, target.open("wb") as file:
        while chunk := source.read(COPY_BYTES):
            copied += len(chunk)
            if copied > most:
                raise BootFileError(f"{path} on {tree.name}: more than {most} bytes")
            file.write(chunk)
