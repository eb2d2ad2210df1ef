"""Boards that install themselves, as far as a boot server can tell: a disk with or without a mark, power, a loader, messages.

A board acts only when it is told to, one step at a time, so that a test can put anything between two steps: the loss of a
message, a second copy of it, its delay, a power cut, another server's database. Talks to the server's own functions.
"""

import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from bootpilot_agent.inventory import Disk, Transport
from bootpilot_agent.mark import Mark
from bootpilot_agent.plan import Action, Plan, Report
from bootpilot_server.asking import boot_channel
from bootpilot_server.asking.answer import Question, answer
from bootpilot_server.asking.token_check import require_token
from bootpilot_server.errors import ProblemError
from bootpilot_server.server import Server
from tests.fakes.reports import body_of, make_report, serial

FEATURES = ("boot", "wait", "reboot", "poweroff", "files", "dtb:running", "local", "mark")


class Running(Enum):
    """What a board is doing."""

    NOTHING = "off"
    AGENT = "the loader"
    INSTALLER = "the installer"
    RAM = "a payload in memory"
    SYSTEM = "the system on its disk"


@dataclass
class World:
    """The server of the moment (None: it is down) and the one clock."""

    server: Server | None
    now: float = 1_000_000.0


Message = Callable[[], object]


@dataclass
class Board:
    """One board. `delayed` are messages on their way; they may arrive at any time, several times, or never."""

    world: World
    number: int
    autonomous_after_s: int | None = 600
    mark: Mark | None = None
    running: Running = Running.NOTHING
    boot_id: str = ""
    token: str = ""
    plan: Plan | None = None
    wiped: bool = False
    delayed: list[Message] = field(default_factory=list)
    # Told of every message that the server accepted: boot, name, install id.
    heard: Callable[[str, str, str | None], None] = lambda _boot_id, _name, _install_id: None
    # Told of every question that reaches the server, and of every plan; a plan that is not live reaches nobody.
    asked: Callable[[Report], None] = lambda _report: None
    answered: Callable[[Report, Plan, bool], None] = lambda _report, _plan, _is_live: None

    @property
    def serial(self) -> str:
        return f"10000000abc{self.number:05x}"

    @property
    def is_installed(self) -> bool:
        """A whole system is on its disk: the mark is the last thing that an installation writes."""
        return self.mark is not None

    def power_on(self) -> None:
        self.running, self.boot_id, self.token, self.plan = Running.AGENT, str(uuid.uuid4()), "", None

    def power_off(self) -> None:
        self.running, self.plan = Running.NOTHING, None

    def report(self) -> Report:
        card = make_report().inventory.disks[0]
        disk = Disk("sda", 1 << 38, Transport.SATA, "WD", f"WD-{self.number}", False, "/devices/sata", self.mark)
        report = make_report(boot_id=self.boot_id, evidence=serial(self.serial), features=FEATURES)
        return replace(report, inventory=replace(report.inventory, disks=(card, disk)))

    def ask(self, *, is_lost: bool = False, is_doubled: bool = False) -> Plan | None:
        """One question. None if no answer reached the board; what it would do then by itself is `give_up`."""
        report, token = self.report(), self.token
        plan = self._question(report, token, is_live=not is_lost)
        if is_doubled:
            self.delayed.append(lambda: self._question(report, token, is_live=False))
        if plan is None and self.world.server is not None:
            # Refused: the agent begins a new boot.
            self.boot_id, self.token = str(uuid.uuid4()), ""
        if plan is None or is_lost:
            return None
        self.token = plan.token
        self._carry_out(plan)
        return plan

    def give_up(self) -> None:
        """No usable plan came for so long that the board starts its own system, if the mark says so and is its own."""
        report = self.report()
        if self.mark is not None and self.mark.autonomous_after_s is not None and self.mark.names(report.evidence):
            self.running = Running.SYSTEM

    def tell(self, name: str, source: str = "agent", *, is_lost: bool = False, is_late: bool = False) -> None:
        event = {"source": source, "seq": secrets.randbits(30), "name": name, "at_ms": 1, "data": {"message": "no"}}
        self._send("events", {"version": 1, "events": [event]}, name, is_lost=is_lost, is_late=is_late)

    def begin_install(self, *, is_lost: bool = False) -> None:
        """The jump: the agent's last word, and the installer's first one."""
        self.tell("handover", is_lost=is_lost)
        self.tell("installing", "installer", is_lost=is_lost)

    def wipe(self) -> None:
        """The first write of an installation destroys the mark."""
        self.mark, self.wiped = None, True

    def finish(self) -> None:
        """The last write is the new mark."""
        assert self.plan is not None
        assert self.plan.install_id is not None
        kind = "dt-serial"
        self.mark = Mark(self.plan.node_id, self.plan.install_id, kind, self.serial, "4d0b5f4c-02", self.autonomous_after_s)

    def say_done(self, *, is_lost: bool = False, is_late: bool = False, is_doubled: bool = False) -> None:
        assert self.plan is not None
        self._send("done", {"install_id": self.plan.install_id}, "done", is_lost=is_lost, is_late=is_late)
        if is_doubled:
            self._send("done", {"install_id": self.plan.install_id}, "done", is_late=True)

    def say_failed(self, *, is_lost: bool = False, is_late: bool = False) -> None:
        self._send("failed", {"why": "the disk is full"}, "failed", is_lost=is_lost, is_late=is_late)

    def _carry_out(self, plan: Plan) -> None:
        self.plan = plan
        if plan.action is Action.BOOT:
            self.running, self.wiped = (Running.INSTALLER if plan.writes_disk else Running.RAM), False
        elif plan.action is Action.LOCAL:
            if self.is_installed:
                self.tell("handover")
                self.running = Running.SYSTEM
            else:
                self.tell("failed")
                self.power_on()
        elif plan.action is Action.REBOOT:
            self.power_on()
        elif plan.action is Action.POWEROFF:
            self.power_off()

    def _send(self, path: str, body: object, name: str, *, is_lost: bool = False, is_late: bool = False) -> None:
        boot_id, token, raw = self.boot_id, self.token, json.dumps(body).encode()
        install_id = self.plan.install_id if self.plan else None

        def deliver() -> None:
            server = self.world.server
            if server is None:
                return
            take = {"events": boot_channel.take_events, "done": boot_channel.take_done, "failed": boot_channel.take_failed}[
                path
            ]
            try:
                with server.database.writing() as connection:
                    boot = require_token(server, connection, boot_id, token, self.world.now)
                    take(connection, boot, raw, self.world.now)
            except ProblemError as refusal:
                if refusal.status != 401:
                    raise
            else:
                self.heard(boot_id, name, install_id)

        if is_late:
            self.delayed.append(deliver)
        elif not is_lost:
            deliver()

    def _question(self, report: Report, token: str, *, is_live: bool) -> Plan | None:
        """The plan; None where the server is down, and for any refusal."""
        if self.world.server is None:
            return None
        self.asked(report)
        try:
            raw = answer(self.world.server, Question(body_of(report), token, "10.0.0.7", self.world.now))
        except ProblemError as refusal:
            if refusal.status not in (409, 429):
                raise
            return None
        plan = Plan.from_json(raw, report.arch)
        self.answered(report, plan, is_live)
        return plan
