"""The steps of an installation as they act on a board. main.py has their order; each is a module of its own.

Blocking work runs in a thread, so that leases are renewed, drivers loaded and the watchdog fed meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from bootpilot_agent.attention import Attention
from bootpilot_agent.console import Progress
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.devices import Devices
from bootpilot_agent.errors import AgentError
from bootpilot_agent.evidence import Evidence, best_serial
from bootpilot_agent.fetch import Fetcher
from bootpilot_agent.fields import Json
from bootpilot_agent.given_identity import identity_root
from bootpilot_agent.identity import read_evidence, read_settled_evidence
from bootpilot_agent.install_order import ImageKind
from bootpilot_agent.inventory import Disk
from bootpilot_agent.mark import Mark
from bootpilot_agent.plan import Artifact, Watchdog
from bootpilot_agent.report import Build
from bootpilot_agent.settings import Settings
from bootpilot_install import disk_image, image_files, layout, marks, network_way
from bootpilot_install.block_device import open_disk
from bootpilot_install.disk_choice import Patience, Wanted, await_disk
from bootpilot_install.disk_reading import DiskReader
from bootpilot_install.errors import OrderError
from bootpilot_install.guard import CardName, name_disk
from bootpilot_install.main import Job
from bootpilot_install.mounts import Mounts, Part
from bootpilot_install.partition_nodes import KernelNodes, PartitionNodes
from bootpilot_install.partitioning import make_file_system, write_table
from bootpilot_install.server_talk import ServerTalk
from bootpilot_install.set_up import Facts, set_up_system
from bootpilot_install.stages import Stage
from bootpilot_install.start import start_system

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where the new system is mounted, and how partitions get device nodes; tests have others."""

    target: Path
    nodes: PartitionNodes = field(default_factory=KernelNodes)
    patience: Patience = field(default_factory=Patience)


@dataclass
class BoardSteps:
    """main.Steps on the given devices, for one job."""

    devices: Devices
    build: Build
    place: Place
    job: Job
    parts: list[Part] = field(default_factory=list)
    _slots: tuple[layout.Slot, ...] = ()
    _evidence: tuple[Evidence, ...] = ()
    _found: network_way.Found | None = None
    _is_whole: bool = False

    def __post_init__(self) -> None:
        self._attention = Attention(self.devices)
        self._talk = ServerTalk(self.job.note, self.devices.console, self.devices.chance)
        self._reader = DiskReader(self.devices.run, self.devices.root)
        self._mounts = Mounts(self.place.target, self.devices.run)

    def say(self, text: str) -> None:
        self.devices.console.say(text)

    def read_job(self) -> Job:
        note, order = self.job.note, self.job.order
        self.say(f"node {note.node_id}, install {note.install_id}, {order.image.kind} image for {order.system.hostname}")
        if note.watchdog == Watchdog.KEEP:
            watchdog = self.devices.open_watchdog(Settings.watchdog_s, keep_allowed=True)
            self._attention.watch(watchdog)
            self.say(f"watchdog: {watchdog.describe()}")
        return self.job

    def load_drivers(self) -> None:
        self.say(f"drivers: looked for {self.devices.drivers.start()} kinds of device")

    def start_network(self, job: Job) -> None:
        root = identity_root(self.devices.root)
        self._evidence = read_settled_evidence(root, self._attention.idle)
        self.devices.network.start(network_way.settings_of(job.note), self._evidence)
        self._attention.network_started()
        self._found = network_way.find_server(job.note, self.devices, self._attention.idle)
        self._talk.open(self._found.transport.route)

    def tell(self, stage: Stage, **data: Json) -> None:
        self._talk.tell(stage, **data)

    def choose_disk(self, job: Job) -> Disk:
        note = job.note
        card = CardName(note.card_partuuid, note.card_cid, note.card_path)
        wanted = Wanted(job.order.guard, card, note.node_id)
        disk = await_disk(self._reader, wanted, self._attention.idle, self.place.patience)
        self.say(f"disk: {name_disk(disk)}, {disk.path}")
        return disk

    def reckon(self, job: Job, disk: Disk) -> None:
        """Everything that can be known to fail before the first write. Raises DiskError, OrderError."""
        self._evidence = read_evidence(identity_root(self.devices.root))
        self._mark_serial()
        image = job.order.image
        if image.kind is ImageKind.DISK:
            disk_image.check_size(image, disk.size_bytes)
        else:
            # Of an OCI archive it is the archive's own size that is known; its layers unpack to more.
            known_bytes = image.artifact.unpacked_bytes if image.kind is ImageKind.TAR else 0
            self._slots = layout.reckon_layout(job.order.partitions, disk.size_bytes, known_bytes or image.artifact.size_bytes)

    def destroy_marks(self, disk: Disk) -> None:
        with open_disk(self._reader.device(disk), write=True, claim=True) as device:
            found = self._attend(lambda: marks.destroy_marks(device))
            self._attend(lambda: self.place.nodes.reread(device))
        self.say(f"{disk.name}: what was on it is gone ({found} mark{'' if found == 1 else 's'})")

    def partition(self, disk: Disk) -> None:
        path = self._reader.device(disk)
        self._attend(lambda: write_table(path, self._slots))
        self.parts = self._attend(lambda: self._find_parts(path))
        for part in self.parts:
            what = f"{part.order.file_system} for {part.order.mount or 'swap'}" if part.order else "the mark"
            self.say(f"{part.device}: {part.size_bytes // layout.MIB} MiB, {what}")

    def make_file_systems(self) -> None:
        for part in self.parts:
            if part.order is not None:
                self._attend(partial(make_file_system, part))

    def write_files(self, job: Job) -> None:
        self._attend(lambda: self._mounts.mount_new(self.parts))
        image = job.order.image
        self._attend(
            lambda: image_files.write_files(image, self._fetch(image.artifact), self.place.target, self.build.arch, self.say)
        )

    def write_disk_image(self, job: Job, disk: Disk) -> None:
        image = job.order.image
        block_map = b""
        if image.block_map is not None:
            block_map = self._attend(lambda: disk_image.fetch_map(image, self._fetcher()))
        with open_disk(self._reader.device(disk), write=True) as device:
            self._attend(lambda: disk_image.write_image(image, block_map, self._fetch(image.artifact), device))
        path = self._reader.device(disk)
        self._attend(lambda: disk_image.add_mark_partition(path, self.say))
        self.parts = self._attend(lambda: self._find_parts(path))
        self.parts = self._attend(lambda: self._mounts.mount_found(self.parts, self.say))
        self.say("the root file system keeps the size that the image gave it")

    def set_up(self, job: Job) -> None:
        facts = Facts(
            order=job.order,
            note=job.note,
            parts=tuple(self.parts),
            loader_line=(self.devices.root / "proc/cmdline").read_text(errors="replace"),
            target=self.place.target,
        )
        self._attend(lambda: set_up_system(facts, self.devices.run, self.say))

    def unmount(self, disk: Disk) -> None:
        self._attend(self._mounts.unmount)
        with open_disk(self._reader.device(disk), write=True) as device:
            self._attend(device.flush)

    def write_mark(self, job: Job, disk: Disk) -> None:
        mark = self._mark(job)
        path = self._reader.device(disk)
        with open_disk(path) as device:
            in_partition = bool(marks.mark_partitions(device))
        if in_partition:
            with open_disk(path, write=True) as device:
                self._attend(lambda: marks.write_mark(device, mark))
        else:
            self._attend(lambda: self._mounts.write_mark_file(self._root_part(), mark))
        self._is_whole = True
        self.say(f"marked: install {mark.install_id} of node {mark.node_id} is whole")

    def tell_done(self, job: Job) -> None:
        if not self._attend(self._talk.tell_done):
            self.say("the server did not take the last word; the mark on the disk tells it at the next boot")

    def start_system(self, job: Job, disk: Disk) -> None:
        start_system(self.devices, self._attention, self.build.arch, job.note, self._root_part().partuuid, disk)

    def tell_failure(self, error: AgentError) -> int:
        """Says it, tells the server, and lets go of the disk; the exit code."""
        self.say(f"FAILED at {error}")
        if self._is_whole:
            self.say("the installation itself is whole, and marked: after a reboot the loader starts it")
            self._attend(self._talk.flush)
            return error.exit_code
        self._attend(self._mounts.abandon)
        if not self._attend(lambda: self._talk.tell_failed(error)):
            self.say("the server did not hear of this failure")
        return error.exit_code

    def _attend(self, task: Callable[[], T]) -> T:
        return self._attention.attend(task)

    def _find_parts(self, path: Path) -> list[Part]:
        with open_disk(path, write=True) as device:
            nodes = self.place.nodes.reread(device)
            orders = {slot.number: slot.order for slot in self._slots}
            return [
                Part(row.number, row.partuuid, row.size_bytes, nodes[row.number], orders.get(row.number), row.kind)
                for row in device.partitions()
            ]

    def _root_part(self) -> Part:
        return next(part for part in self.parts if part.mount == "/")

    def _mark(self, job: Job) -> Mark:
        serial = self._mark_serial()
        return Mark(
            node_id=job.note.node_id,
            install_id=job.note.install_id,
            evidence_kind=serial.kind.value,
            evidence_value=serial.value,
            root_partuuid=self._root_part().partuuid,
            autonomous_after_s=job.order.autonomous_after_s,
        )

    def _mark_serial(self) -> Evidence:
        if (serial := best_serial(self._evidence)) is None:
            raise OrderError("nothing tells this board from another, so a mark could not name it; nothing was written")
        return serial

    def _fetcher(self) -> Fetcher:
        if self._found is None:
            raise OrderError("there is no way to the server")
        note = self.job.note
        deadline = Deadline.after(0)
        return Fetcher(self._found.transport, note.server, note.token, deadline, self.say, self.devices.chance, mismatches=1)

    def _fetch(self, artifact: Artifact) -> Callable[[BinaryIO], None]:
        fetcher = self._fetcher()
        fetcher.deadline, heard = network_way.silence_deadline()
        progress = Progress("image", artifact.size_bytes, self.devices.console)

        def on_bytes(done_bytes: int) -> None:
            heard()
            progress.update(done_bytes)
            self._talk.tell_bytes(done_bytes, artifact.size_bytes)

        def fetch(file: BinaryIO) -> None:
            fetcher.fetch(artifact, file, "image")
            progress.finish(artifact.size_bytes)

        fetcher.on_bytes = on_bytes
        return fetch
