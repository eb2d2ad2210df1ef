"""The steps of a boot as they act on a board, each out of the agent's own modules. main.py has their order.

Remembers what the next try need not do again, and says on the console what a person in front of the board wants to know.
"""

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bootpilot_agent import report
from bootpilot_agent.attention import Attention, Worker
from bootpilot_agent.autonomy import LimitedDeadline
from bootpilot_agent.boot_note import Origin, make_note
from bootpilot_agent.deadline import Clock, Deadline, jittered
from bootpilot_agent.departure import Departure
from bootpilot_agent.devices import Devices
from bootpilot_agent.earlier_note import EarlierNote
from bootpilot_agent.errors import AgentError, KexecReturnedError, NetworkError
from bootpilot_agent.events import EventName
from bootpilot_agent.evidence import Evidence, best_serial
from bootpilot_agent.given_identity import identity_root
from bootpilot_agent.hardware import read_board, read_inventory
from bootpilot_agent.identity import read_evidence, read_settled_evidence
from bootpilot_agent.journal import Journal
from bootpilot_agent.kexec_capability import read_kexec_capability
from bootpilot_agent.loader_settings import read_loader_settings
from bootpilot_agent.local_boot import LocalBoot
from bootpilot_agent.own_disk import OwnDisk
from bootpilot_agent.plan import BootPayload, LastAttempt, Plan, Wait, Watchdog
from bootpilot_agent.report import Board, Boot, Build, has_running_tree, takes_bare_tree
from bootpilot_agent.settings import Settings
from bootpilot_agent.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootpilot_agent.conversation import Conversation, Conversations
    from bootpilot_agent.launch import Launch
    from bootpilot_agent.network import Candidate
    from bootpilot_agent.payload import Payload
    from bootpilot_agent.recover import Recovery

# After so long without a server the try counts as failed: the console says so, and a shell can be had.
SEARCH_S = 300.0
# How long answers may get lost, or the server be busy, before the search for a server starts anew.
PATIENCE_S = 120.0
FAILURE_FLUSH_S = 8.0
HANDOVER_FLUSH_S = 4.0
# Up to a megabyte. A board that failed waits anyway before it tries again; one that works must not wait for this.
FAILURE_RECORDING_S = 20.0
HANDOVER_RECORDING_S = 4.0


@dataclass
class BoardEdges:
    """main.Edges on the given devices. `pack_recording` gives what the flight recorder has of this boot, if there is one."""

    devices: Devices
    build: Build
    pack_recording: "Callable[[], bytes] | None" = None
    _attention: Attention = field(init=False)
    _disk: OwnDisk = field(init=False)
    _departure: Departure = field(init=False)
    _drivers_loaded: bool = False
    _network_started: bool = False
    _way: "Candidate | None" = None
    _settings: Settings | None = None
    _evidence: tuple[Evidence, ...] = ()
    _silence: Silence = field(init=False)
    _fetch_deadline: Deadline = field(init=False)
    _origin: Origin = field(init=False)
    _late_import: "Worker[type[Conversations]] | None" = None
    _conversations: "Conversations | None" = None

    def __post_init__(self) -> None:
        self._attention = Attention(self.devices)
        self._disk = OwnDisk(self.devices, self._attention, self.build.arch)
        self._departure = Departure(self.devices, self._attention)
        self._silence = Silence(Settings.reboot_after_h, self.chance, self.devices.clock)
        self._fetch_deadline = Deadline.after(0)
        self._origin = Origin(None, EarlierNote(), self.build.build_id)

    def say(self, text: str) -> None:
        self.devices.console.say(text)

    def chance(self) -> float:
        return self.devices.chance()

    def load_drivers(self) -> None:
        if not self._drivers_loaded:
            self.say(f"drivers: looked for {self.devices.drivers.start()} kinds of device")
            self._drivers_loaded = True

    def read_settings(self) -> Settings:
        """Once: what the card says does not change while the agent runs."""
        if self._settings is None:
            told = read_loader_settings(self.devices, self.build.build_id, self._attention.idle)
            self._settings, self._origin = told
            self._silence = Silence(self._settings.reboot_after_h, self.chance, self.devices.clock)
            # One that the loader before this one left running bites unless this one feeds it, whatever its kind.
            kept = self._origin.earlier.watchdog == Watchdog.KEEP
            timeout_s = self._settings.watchdog_s or (Settings.watchdog_s if kept else 0)
            watchdog = self.devices.open_watchdog(timeout_s, keep_allowed=kept)
            self._attention.watch(watchdog)
            self.say(f"watchdog: {watchdog.describe()}")
        return self._settings

    def read_evidence(self) -> tuple[Evidence, ...]:
        root = identity_root(self.devices.root)
        evidence = read_evidence(root) if self._network_started else read_settled_evidence(root, self._attention.idle)
        serial = best_serial(evidence)
        name = f"{serial.kind} {serial.value}" if serial else "nothing that names it yet"
        self.say(f"board: {read_board(root).model or 'unknown model'}, {name}")
        self._evidence = evidence
        return evidence

    def start_network(self, settings: Settings, evidence: tuple[Evidence, ...]) -> None:
        if not self._network_started:
            self.devices.network.start(settings, evidence)
            self._network_started = True
            self._attention.network_started()
        if self._conversations is None:
            self._importing()  # waiting for DHCP leaves the processor idle
        for line in self.devices.network.describe():
            self.say(line)

    def find_server(self, settings: Settings) -> "Conversation":
        self.devices.wall_clock.correct()
        card = self._origin.card.partuuid if self._origin.card else settings.card or self._origin.earlier.card_partuuid
        self._disk.look(card, self._evidence)
        if self._conversations is None:
            importing, self._late_import = self._importing(), None  # an import that failed is tried again
            self._conversations = self._attention.attend_to(importing)(settings, self.devices)
        try:
            conversation = self._conversations.find(self._disk.idle, self._until_due(SEARCH_S, self.devices.clock))
        except NetworkError:
            self._name_driverless()
            raise
        self._silence.heard()
        self._way = conversation.found.way.candidate
        self.devices.network.use(self._way)
        self.say(f"boot server: {conversation.found.way}, named by {conversation.found.way.source}")
        return conversation

    def ask_plan(self, conversation: "Conversation", settings: Settings, boot: Boot, journal: Journal) -> Plan:
        # Read for each question: network adapters and disks on USB appear late, and a board may wait for days.
        # In a thread: a dying disk may hold the reader up for longer than the watchdog is patient.
        board = self._attention.attend(lambda: self._read_board(settings))
        if not report.entropy_ready():
            self.say("waiting for the kernel's random numbers: a nonce must not be guessable")
        patience_s = min(PATIENCE_S, self._disk.autonomy.remaining_s())
        plan = self._attention.attend(lambda: conversation.ask_plan(board, boot, patience_s))
        self._fetch_deadline = LimitedDeadline(time.monotonic() + plan.fetch_deadline_s, limit_s=self._disk.autonomy.fetching_s)
        self._silence.heard()
        conversation.open_journal(journal, plan)
        if plan.boot is not None:
            self.say(f"node {plan.node_id}, plan: {plan.action} {plan.boot.profile}")
            self.say(conversation.describe_trust())
        if plan.local is not None:
            found_by = f"{plan.local.find} {plan.local.partition}".rstrip()
            self.say(f"node {plan.node_id}, plan: start the system on the disk, found by {found_by}")
        return plan

    def wait(self, wait: Wait, run: Boot) -> None:
        """The text is said once: a board may wait for months, and the log has 4 MiB."""
        if wait.text != run.waits_for:
            self.say(f"the server says wait ({wait.reason}): {wait.text}")
            self.say(f"asking again every {wait.retry_after_s} s")
            run.waits_for = wait.text
        self._attention.sleep(jittered(wait.retry_after_s, self.devices.chance))
        self._disk.autonomy.restart()

    def check_fit(self, boot: BootPayload) -> None:
        self._launch().check_fit(boot)

    def fetch_payload(self, conversation: "Conversation", plan: Plan, boot: BootPayload, journal: Journal) -> "Payload":
        moved = self._disk.autonomy.moved
        return self._launch().fetch_payload(conversation, plan, boot, self._origin, self._fetch_deadline, journal, moved)

    def take_system(self, conversation: "Conversation", plan: Plan, local: LocalBoot) -> "Payload":
        from bootpilot_agent.own_start import planned_archive

        note = make_note(plan, conversation.found.way, conversation.settings, self._origin)
        return self._disk.prepare(local, plan.install_id, planned_archive(note))

    def take_own_system(self, last_attempt: LastAttempt | None) -> "Payload | None":
        mark, settings = self._disk.autonomy.due_mark(), self._settings
        if mark is None or settings is None or self._departure.has_left:
            return None
        from bootpilot_agent.own_start import lone_archive

        self.say(f"no usable plan has come: starting install {mark.mark.install_id} on {mark.disk} without a server")
        board = self._attention.attend(lambda: self._read_board(settings))
        ways = self.devices.network.candidates()
        return self._disk.prepare_marked(mark, lone_archive(mark.mark, board, settings, self._origin, ways, last_attempt))

    def tell_own_failure(self, error: AgentError) -> None:
        self.say(f"FAILED without a server at {error}")
        self._disk.autonomy.failed()
        if self._departure.has_left:
            self.reboot()

    def load_kexec(self, payload: "Payload") -> None:
        self.say(f"kexec: loading, with the command line: {payload.command_line}")
        self._launch().load_kexec(payload, read_kexec_capability(self.devices.root))

    def hand_over(self, plan: Plan, journal: Journal) -> None:
        journal.add(EventName.HANDOVER)
        transcript = self.devices.console.transcript()
        if not self._attention.attend(lambda: journal.flush(HANDOVER_FLUSH_S, transcript)):
            self.say("the server did not take the last events; going on without")
        elif plan.record:
            self._send_recording(journal, HANDOVER_RECORDING_S)
        self.leave(plan.watchdog)

    def leave(self, watchdog: Watchdog = Watchdog.STOP) -> None:
        self._departure.for_payload(watchdog, self._settings.watchdog_s if self._settings else 0)

    def jump(self) -> None:
        self._launch().jump()

    def reboot(self) -> None:
        self._departure.reboot()

    def power_off(self) -> None:
        self._departure.power_off()

    def tell_failure(self, error: AgentError, journal: Journal) -> bool:
        if type(error) is AgentError and error.__cause__ is not None:
            import traceback

            self.say("".join(traceback.format_exception(error.__cause__)).rstrip())
        self.say(f"FAILED at {error}")
        journal.add(EventName.FAILED, stage=error.stage, message=error.message[:2000], hint=error.hint[:2000])
        if isinstance(error, KexecReturnedError):
            self._departure.come_back(self._way, self._settings)
        transcript = self.devices.console.transcript()
        told = self._attention.attend(lambda: journal.flush(FAILURE_FLUSH_S, transcript))
        if told:
            self._send_recording(journal, FAILURE_RECORDING_S)
        return told

    def recover(self, recovery: "Recovery") -> bool:
        if self._settings is not None and self._settings.shell:
            self.say("bootpilot.shell: a shell instead of the next try")
            self._attention.release_watchdog(Watchdog.STOP, 0)
            return False
        gives_way = recovery.gives_way and bool(self._origin.earlier.loader_builds)
        reboot = recovery.reboot or gives_way or self._departure.has_left or self._silence.is_too_long()
        if gives_way:
            self.say("this loader was started by another one, which may manage what this one does not: back to it")
        if self._silence.is_too_long():
            self.say(f"no boot server has answered for {self._silence.limit_h} h; a reboot cures a network adapter that hangs")
        wait_s = recovery.wait_s if reboot else min(recovery.wait_s, self._disk.autonomy.remaining_s())
        self.say(f"{'reboot' if reboot else 'next try'} in {wait_s:.0f} s")
        self._attention.sleep(wait_s)
        if reboot:
            try:
                self.reboot()
            except AgentError as error:
                self.say(str(error))
        return True

    def _send_recording(self, journal: Journal, timeout_s: float) -> None:
        pack = self.pack_recording
        if pack is not None and not self._attention.attend(lambda: journal.send_recording(pack, timeout_s)):
            self.say("the server did not take the recording of this boot; going on without")

    def _name_driverless(self) -> None:
        """Where no server was found, a network adapter without its module may be why."""
        for device in self.devices.drivers.driverless():
            if device.kind == "network":
                self.say(f"no driver for {device.path} ({device.modalias})" + (f": {device.reason}" if device.reason else ""))

    def _read_board(self, settings: Settings) -> Board:
        root, identity = self.devices.root, identity_root(self.devices.root)
        marks = {found.disk: found.mark for found in self._disk.read_marks()}
        machine = read_inventory(root, self._origin.card, self.build.arch, marks)
        return Board(
            build=self.build,
            evidence=read_evidence(identity),
            # What the machine can, and what is odd about it, was read of itself: a given identity only changes its name.
            inventory=replace(machine, board=read_board(identity)),
            simulated=settings.simulated,
            earlier_loaders=self._origin.earlier.loader_builds,
            has_tree=has_running_tree(root),
            takes_bare_tree=takes_bare_tree(machine.board.compatible),
            enrol=settings.enrol,
        )

    def _until_due(self, seconds: float, clock: Clock) -> Deadline:
        """So many seconds, or less where the board is to start its disk before."""
        return LimitedDeadline(clock() + seconds, clock, self._disk.autonomy.remaining_s)

    def _importing(self) -> "Worker[type[Conversations]]":
        """The import of what speaks HTTP, under way since the first call."""
        if self._late_import is None:
            self._late_import = Worker(import_conversations)
            self._late_import.start()
        return self._late_import

    def _launch(self) -> "Launch":
        # What only an accepted plan needs must not hold up the first request.
        from bootpilot_agent.launch import Launch

        return Launch(self.devices, self._attention, self.build.arch)


def import_conversations() -> "type[Conversations]":
    """Import what speaks HTTP: on a small board that takes as long as everything before it."""
    from bootpilot_agent.conversation import Conversations

    return Conversations
