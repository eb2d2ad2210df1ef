"""From partitions of the board's disk to the first entry of their boot files that can be started.

Reads a disk only while it is mounted here, and leaves it unmounted and as it was. Imported only when a disk is to be started.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bootpilot_agent import kexec
from bootpilot_agent.block_devices import BlockPartition, Content, all_partitions, probe
from bootpilot_agent.boot_files import kernels
from bootpilot_agent.boot_files.entry import BootFileError, Entry
from bootpilot_agent.boot_files.fstab import find_mount
from bootpilot_agent.boot_files.menus import read_menus
from bootpilot_agent.confined_tree import ConfinedTree
from bootpilot_agent.devices import Devices
from bootpilot_agent.disk_payload import DiskPayload
from bootpilot_agent.disk_systems import named
from bootpilot_agent.errors import AgentError, LocalBootError
from bootpilot_agent.fields import FieldError
from bootpilot_agent.file_systems import FILE_SYSTEMS, UNSUPPORTED, mounted
from bootpilot_agent.kernel_command_line import split_command_line
from bootpilot_agent.payload import Payload

# What an installed system mounts where boot files are.
BOOT_FOLDERS = ("/boot", "/boot/efi", "/efi")
# Of all menus together; each takes as long as copying a kernel.
MOST_TRIES = 32


@dataclass
class DiskStart:
    """One try. `card_partuuid` names the media that do not count."""

    devices: Devices
    arch: str
    card_partuuid: str
    payload: DiskPayload
    _uuids: dict[str, str] = field(default_factory=dict)
    _tries: int = 0

    def prepare(self, partitions: Sequence[BlockPartition]) -> Payload:
        """The first of these partitions with something that can be started. Raises LocalBootError with all that was wrong."""
        kexec.unload(self.arch, self.devices.run, self.devices.root)
        troubles: list[str] = []
        for partition in partitions:
            content = probe(partition, self.devices.run, self.devices.root)
            if len(partitions) > 1 and content.kind not in FILE_SYSTEMS:
                if content.kind in UNSUPPORTED:
                    troubles.append(f"{partition.device} holds {UNSUPPORTED[content.kind]}, which is not supported")
                continue
            try:
                return self._from_partition(partition, content)
            except (LocalBootError, BootFileError) as error:
                troubles.append(getattr(error, "message", str(error)))
        why = "; ".join(troubles) or "no partition with a file system that is known"
        raise LocalBootError(f"nothing that can be started: {why}"[:2000], "look at the disk from a rescue system")

    def _from_partition(self, partition: BlockPartition, content: Content) -> Payload:
        troubles: list[str] = []
        with self._trees(partition, content) as trees:
            line = self._own_command_line(partition, content, trees[0])
            for tree, found in read_menus(trees, self.arch, line):
                if isinstance(found, BootFileError):
                    self._note(troubles, str(found))
                elif (payload := self._first_of(found, tree, troubles)) is not None:
                    return payload
        raise LocalBootError("; ".join(troubles) or f"{partition.device}: no boot files and no kernel in /boot")

    def _first_of(self, entries: Sequence[Entry], tree: ConfinedTree, troubles: list[str]) -> Payload | None:
        for entry in entries:
            if self._tries >= MOST_TRIES:
                return None
            self._tries += 1
            try:
                return self._take(entry, tree)
            except (AgentError, BootFileError, FieldError, OSError) as error:
                self._note(troubles, f"{entry.source}: {getattr(error, 'message', error)}")
        return None

    def _note(self, troubles: list[str], trouble: str) -> None:
        troubles.append(trouble)
        self.devices.console.say(f"disk: {trouble}; trying what comes next")

    @contextmanager
    def _trees(self, partition: BlockPartition, content: Content) -> Iterator[list[ConfinedTree]]:
        """The partition, and those that its fstab mounts where boot files are."""
        with ExitStack() as stack:
            trees = [self._mount(partition, content, stack)]
            for other in [found for folder in BOOT_FOLDERS for found in self._mounted_there(trees[0], folder)]:
                if other.device in self._uuids:
                    continue
                try:
                    trees.append(self._mount(other, probe(other, self.devices.run, self.devices.root), stack))
                except LocalBootError as error:
                    self.devices.console.say(f"disk: left out: {error.message}")
            try:
                yield trees
            finally:
                self._uuids.clear()

    def _mount(self, partition: BlockPartition, content: Content, stack: ExitStack) -> ConfinedTree:
        point = stack.enter_context(mounted(partition.device, content.kind, self.devices.run, self.devices.root))
        self._uuids[partition.device] = content.uuid
        return ConfinedTree(point, partition.device)

    def _mounted_there(self, system: ConfinedTree, folder: str) -> list[BlockPartition]:
        source = find_mount(system, folder)
        if not source:
            return []
        partitions = all_partitions(self.card_partuuid, self.devices.root)
        found = named(partitions, source, self.devices.run, self.devices.root)
        if len(found) != 1:
            self.devices.console.say(f"disk: {folder} of {system.name} is {source}, which is {len(found)} partitions: left out")
            return []
        return found

    def _own_command_line(self, partition: BlockPartition, content: Content, system: ConfinedTree) -> str:
        """For kernels without a boot file: the system's own, else its root and the loader's consoles; "" if it is no root."""
        if not system.names("/etc"):
            return ""
        if line := kernels.read_command_line(system):
            return line
        name = f"PARTUUID={partition.partuuid}" if partition.partuuid else f"UUID={content.uuid}"
        text = (self.devices.root / "proc/cmdline").read_text(errors="replace")
        consoles = [f"console={value}" for word, value in split_command_line(text) if word == "console" and value]
        return " ".join([f"root={name}", "ro", *consoles])

    def _take(self, entry: Entry, tree: ConfinedTree) -> Payload:
        uuid = self._uuids.get(tree.name, "")
        if entry.file_system and uuid and entry.file_system.lower() != uuid.lower():
            raise BootFileError(f"its files are on the file system {entry.file_system}, not on {tree.name} ({uuid})")
        return self.payload.take(entry, tree)
