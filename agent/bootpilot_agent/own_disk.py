"""The board's own disk through a boot: its marks while the agent runs, and the system on it when that is to be started.

Owns the reader of marks and the clock of starts without a server. What reads a disk goes on in a thread: a dying disk takes
long.
"""

from collections.abc import Sequence

from bootpilot_agent.attention import Attention, Worker
from bootpilot_agent.autonomy import Autonomy
from bootpilot_agent.cpio import Entry
from bootpilot_agent.devices import Devices
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.local_boot import Find, LocalBoot
from bootpilot_agent.mark_reader import DiskMark, MarkReader
from bootpilot_agent.payload import Payload

# How often it is looked whether a disk has come or gone.
LOOK_EVERY_S = 1.0


class OwnDisk:
    """Used by the main thread, but for `read_marks`. `card_partuuid` names the media that never count."""

    def __init__(self, devices: Devices, attention: Attention, arch: str) -> None:
        self._devices = devices
        self._attention = attention
        self._arch = arch
        self._reader = MarkReader(devices.run, devices.console.say, devices.root)
        self._evidence: tuple[Evidence, ...] = ()
        self._seen: object = None
        self._look_at_s = 0.0
        self._looking: Worker[tuple[DiskMark, ...]] | None = None
        self.card_partuuid = ""
        self.autonomy = Autonomy(devices.console.say, devices.chance, devices.clock)

    def read_marks(self) -> tuple[DiskMark, ...]:
        """The marks of all disks but the card. May take long; from any thread."""
        return self._reader.read(self.card_partuuid)

    def look(self, card_partuuid: str, evidence: tuple[Evidence, ...]) -> None:
        """Look for marks, and from now on whenever a disk comes or goes."""
        self.card_partuuid, self._evidence = card_partuuid, evidence
        self._seen = self._reader.disks_there()
        self.autonomy.learn(self._attention.attend(self.read_marks), evidence)

    def idle(self, seconds: float) -> None:
        """Attention.idle, with an eye on disks that appear late."""
        self._attention.idle(seconds)
        now_s = self._devices.clock()
        if self._looking is not None and not self._looking.is_alive():
            finished, self._looking = self._looking, None
            self.autonomy.learn(finished.outcome(), self._evidence)
        if self._looking is None and now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            there = self._reader.disks_there()
            if there != self._seen:
                self._seen = there
                self._looking = Worker(self.read_marks)
                self._looking.start()

    def prepare(self, local: LocalBoot, install_id: str | None, archive: Sequence[Entry]) -> Payload:
        """The system that the plan means, in memory, with `archive` at its initrd's end. Raises AgentError."""
        return self._attention.attend(lambda: self._prepare(local, install_id, archive))

    def prepare_marked(self, mark: DiskMark, archive: Sequence[Entry]) -> Payload:
        """The same for the system of this mark."""
        return self.prepare(LocalBoot(Find.MARK), mark.mark.install_id, archive)

    def _prepare(self, local: LocalBoot, install_id: str | None, archive: Sequence[Entry]) -> Payload:
        # What only a board that starts its disk needs must not hold up the first request.
        from bootpilot_agent.disk_payload import DiskPayload
        from bootpilot_agent.disk_start import DiskStart
        from bootpilot_agent.disk_systems import find_partitions

        devices = self._devices
        start = DiskStart(devices, self._arch, self.card_partuuid, DiskPayload(devices, self._arch, archive))
        marks = self.read_marks()
        return start.prepare(find_partitions(local, install_id, marks, self.card_partuuid, devices.run, devices.root))
