"""What is said to boot servers in one run of the agent: the search, the question, the events.

Imported late, in a thread, while drivers are loaded and DHCP is under way: the HTTP library takes longest of all imports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.console import Console
from bootpilot_agent.deadline import Chance, Deadline
from bootpilot_agent.devices import Devices
from bootpilot_agent.errors import QuestionRefusedError, ServerError, SettingsError, TransportError
from bootpilot_agent.events import Source
from bootpilot_agent.journal import Journal
from bootpilot_agent.plan import Lease, Plan
from bootpilot_agent.plan_client import PlanClient, server_error
from bootpilot_agent.report import Board, Boot, make_report
from bootpilot_agent.servers import Found, Search
from bootpilot_agent.settings import Settings
from bootpilot_agent.tls import CA_BUNDLE, read_ca_start
from bootpilot_agent.transport import Transport
from bootpilot_agent.trust import check_plan, describe_trust
from bootpilot_agent.wall_clock import WallClock

EVENTS_S = 5.0
# A megabyte over a slow line; whoever waits for it waits for less (edges.py).
RECORDING_S = 60.0
# The same question with a new nonce, then a new boot: more refusals than that are no accident.
QUESTIONS = 3


class Conversations:
    """With all servers: starts one conversation for each try, and first with those that did not fail the last time."""

    def __init__(self, settings: Settings, devices: Devices) -> None:
        self._settings = settings
        self._devices = devices
        ca_file = pin_ca(settings, devices.folder, devices.wall_clock)
        self._search = Search(settings, ca_file, devices.console.say, devices.chance, devices.clock, devices.wall_clock)
        self._last: Conversation | None = None

    def find(self, idle: Callable[[float], object], deadline: Deadline) -> "Conversation":
        """Raises NetworkError when no server answers in time."""
        if self._last is not None:  # there is another try, so this one failed
            self._search.blame(self._last.found.way)
            self._last.close()
        found = self._search.find(self._devices.network.candidates, idle, deadline)
        events = Transport(found.transport.route)
        self._last = Conversation(found, events, self._settings, self._devices.console, self._devices.chance)
        return self._last


@dataclass(frozen=True)
class Conversation:
    """With one server that answered. `events` is the journal's own connection: its thread must not wait for a download."""

    found: Found
    events: Transport
    settings: Settings
    console: Console
    chance: Chance

    @property
    def lease(self) -> Lease:
        return self.found.way.candidate.lease

    def ask_plan(self, board: Board, boot: Boot, patience_s: float) -> Plan:
        """One plan that this agent may carry out, with a fresh nonce. Raises ServerError, PlanError, NetworkError."""
        client = PlanClient(self.found.transport, self.found.way.server, board.build.arch, self.console.say, self.chance)
        for attempt in range(QUESTIONS):
            report = make_report(board, self.lease, boot)
            try:
                plan = client.ask(report, boot.token, patience_s)
            except QuestionRefusedError as error:
                self.console.say(f"{error.message}; asking anew")
                if attempt:
                    boot.renew()
                continue
            check_plan(plan, report, self.found.way.source, self.settings.trust_dhcp)
            boot.token, boot.last_attempt = plan.token, None
            return plan
        raise ServerError(
            f"the server refused {QUESTIONS} questions in a row (HTTP 409)", "see the server's log for this board"
        )

    def describe_trust(self) -> str:
        """How far this boot can be trusted, for the console."""
        return describe_trust(self.found.way.server, bool(self.settings.ca))

    def open_journal(self, journal: Journal, plan: Plan) -> None:
        """From now on the journal can send."""
        journal.open(EventSender(self.events, self.found.way.server, plan.boot_id, plan.token))

    def close(self) -> None:
        """Hang up."""
        self.found.transport.close()
        self.events.close()


def pin_ca(settings: Settings, folder: Path, clock: WallClock) -> str:
    """The CA file for https: the one from the card if it has one (then no public CA counts), else the public ones.

    Raises SettingsError where the card names a CA that cannot be had: it wanted one, so nobody else's word will do.
    """
    if settings.ca_lost:
        raise SettingsError(
            "the card asks for a server that shows a certificate, and what it says of server or CA cannot be read, so no server"
            " can be believed",
            "see the complaint about `ca` or bootpilot.txt above; put the file on the card again, or write the card anew",
        )
    if not settings.ca:
        return CA_BUNDLE
    path = folder.with_name("pinned-ca.pem")
    path.write_text(settings.ca, encoding="ascii")
    clock.learn(read_ca_start(str(path)), "the CA on the card")
    return str(path)


@dataclass(frozen=True)
class EventSender:
    """Delivers the journal's events and the log of one boot. Raises TransportError, or ServerError for what is refused."""

    transport: Transport
    server: str
    boot_id: str
    token: str
    source: Source = Source.AGENT

    def send_events(self, body: bytes) -> None:
        self._send("POST", "events", "application/json", body, EVENTS_S)

    def send_log(self, text: bytes) -> None:
        self._send("POST", f"log?source={self.source}&offset=0", "text/plain; charset=utf-8", text, EVENTS_S)

    def send_recording(self, packed: bytes) -> None:
        self._send("PUT", "recording", "application/octet-stream", packed, RECORDING_S)

    def send_word(self, what: str, body: bytes, seconds: float) -> None:
        """`done` or `failed`, as JSON."""
        self._send("POST", what, "application/json", body, seconds)

    def _send(self, method: str, what: str, kind: str, body: bytes, seconds: float) -> None:
        answer = self.transport.ask(
            method,
            f"{self.server}/v1/boots/{self.boot_id}/{what}",
            deadline=Deadline.after(seconds),
            headers={"Content-Type": kind, "Authorization": f"Bearer {self.token}"},
            body=body,
        )
        if answer.status >= 500 or answer.status == 429:
            raise TransportError(f"{what}: HTTP {answer.status}")
        if answer.status >= 300:
            raise server_error(answer)
