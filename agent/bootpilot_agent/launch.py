"""From an accepted plan to the jump: does it fit, fetch it, load it, leave. Imported only when there is such a plan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bootpilot_agent import kexec, memory
from bootpilot_agent.attention import Attention
from bootpilot_agent.boot_note import BootNote, Origin, make_note
from bootpilot_agent.console import Console, Progress
from bootpilot_agent.conversation import Conversation
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.device_tree import check_device_tree
from bootpilot_agent.devices import Devices
from bootpilot_agent.fetch import Fetcher
from bootpilot_agent.inventory import KexecCapability
from bootpilot_agent.journal import Journal
from bootpilot_agent.kernel_image import check_kernel
from bootpilot_agent.payload import Payload, assemble, clear_folder
from bootpilot_agent.plan import Artifact, BootPayload, DtbPolicy, Plan
from bootpilot_agent.report import has_running_tree


@dataclass(frozen=True)
class Launch:
    """The steps that handle the payload, on the given devices."""

    devices: Devices
    attention: Attention
    arch: str

    def check_fit(self, boot: BootPayload) -> None:
        """Raises MemoryTooSmallError. What an earlier try left in memory is freed first: it would count as used."""
        kexec.unload(self.arch, self.devices.run, self.devices.root)
        clear_folder(self.devices.folder)
        memory.check_fit(boot, self.arch, memory.read_memory(self.devices.root, self.devices.folder.parent))

    def fetch_payload(
        self,
        conversation: Conversation,
        plan: Plan,
        boot: BootPayload,
        origin: Origin,
        deadline: Deadline,
        journal: Journal,
        moved: Callable[[], object],
    ) -> Payload:
        """Everything verified and laid out in memory before the deadline. `moved` is called whenever bytes have come.

        Raises FetchError, VerifyError, PlanError, MemoryTooSmallError.
        """
        note = make_note(plan, conversation.found.way, conversation.settings, origin)
        # Only a loader gets it: what stands on a card is no payload's business.
        card_copy = origin.card_copy() if boot.loader else {}
        fetched = self.attention.attend(
            lambda: download(
                conversation,
                boot,
                note,
                self.devices.folder,
                deadline,
                journal,
                card_copy,
                moved,
                self._better_way(conversation),
            )
        )
        image = check_kernel(fetched.kernel, self.arch)
        for tree in [*([fetched.dtb] if fetched.dtb else []), *fetched.overlays]:
            check_device_tree(tree)
        if fetched.dtb is not None and boot.dtb_policy is DtbPolicy.FILE_FIXUPS:
            from bootpilot_agent.plan_tree import make_own

            make_own(fetched.dtb, fetched.overlays, self.devices.root, self.devices.console.say)
        sizes = file_sizes(fetched, image.memory_bytes)
        memory.check_loading(sizes, self.arch, memory.read_memory(self.devices.root))
        return fetched

    def load_kexec(self, payload: Payload, capability: KexecCapability) -> None:
        """Raises KexecError."""
        payload = self._with_given_macs(payload, capability)
        self.attention.attend(lambda: kexec.load(payload, self.arch, capability, self.devices.run))
        # The kernel has its own copy now.
        clear_folder(self.devices.folder)

    def _better_way(self, conversation: Conversation) -> Callable[[], bool]:
        used = conversation.lease

        def better_way() -> bool:
            ways = [(candidate.lease.interface, candidate.lease.method) for candidate in self.devices.network.candidates()]
            return bool(ways) and (used.interface, used.method) not in ways

        return better_way

    def _with_given_macs(self, payload: Payload, capability: KexecCapability) -> Payload:
        macs = self.devices.network.given_macs()
        # kexec_file_load makes the next kernel's tree out of the running one by itself.
        if not macs or not capability.load or not has_running_tree(self.devices.root):
            return payload
        from bootpilot_agent.payload_macs import with_given_macs

        return with_given_macs(payload, macs, self.devices.folder, self.devices.root, self.devices.console.say)

    def jump(self) -> None:
        """Raises KexecReturnedError, or does not come back."""
        kexec.jump(self.arch, self.devices.run, self.devices.sync)


def file_sizes(payload: Payload, kernel_in_memory: int) -> memory.Sizes:
    """What lies in the payload's folder."""
    dtb = payload.dtb.stat().st_size if payload.dtb else 0
    return memory.Sizes(payload.kernel.stat().st_size, payload.initrd.stat().st_size, dtb, kernel_in_memory)


def download(
    conversation: Conversation,
    boot: BootPayload,
    note: BootNote,
    folder: Path,
    deadline: Deadline,
    journal: Journal,
    card_copy: Mapping[str, bytes],
    moved: Callable[[], object],
    better_way: Callable[[], bool],
) -> Payload:
    """All artifacts of a `boot` plan. Raises FetchError, VerifyError."""
    found, console = conversation.found, conversation.console
    fetcher = Fetcher(found.transport, found.way.server, note.token, deadline, console.say, conversation.chance)
    fetcher.better_way = better_way
    return assemble(boot, note, folder, _Downloads(fetcher, journal, console, boot_bytes(boot), moved).fetch, card_copy)


@dataclass
class _Downloads:
    """Fetches one artifact after the other and tells console and server how far the whole is."""

    fetcher: Fetcher
    journal: Journal
    console: Console
    total_bytes: int
    moved: Callable[[], object]
    earlier_bytes: int = 0

    def fetch(self, artifact: Artifact, file: BinaryIO, what: str) -> None:
        progress = Progress(what, artifact.size_bytes, self.console)

        def on_bytes(done_bytes: int) -> None:
            if done_bytes:
                self.moved()
            progress.update(done_bytes)
            self.journal.progress(self.earlier_bytes + done_bytes, self.total_bytes)

        self.fetcher.on_bytes = on_bytes
        self.fetcher.fetch(artifact, file, what)
        progress.finish(artifact.size_bytes)
        self.earlier_bytes += artifact.size_bytes


def boot_bytes(boot: BootPayload) -> int:
    """Everything that a plan has fetched."""
    trees = [*([boot.dtb] if boot.dtb else []), *boot.dtb_overlays]
    artifacts = [boot.kernel, *boot.initrds, *trees, *(file.artifact for file in boot.files)]
    return sum(artifact.size_bytes for artifact in artifacts)
