"""A grid of approved boards that ask, carry out what they are told, and say how it went: for rollouts and slots.

Talks to the server's own functions, one step at a time, with one clock.
"""

import json
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.plan import Plan
from bootpilot_server.asking import boot_channel
from bootpilot_server.asking.answer import Question, answer
from bootpilot_server.asking.token_check import require_token
from bootpilot_server.cli import main
from bootpilot_server.config import Config
from bootpilot_server.server import Server, open_server
from bootpilot_server.store import node_records
from tests.fakes.bench import Bench, make_bench
from tests.fakes.reports import body_of, make_report, serial
from tests.fakes.site import profile, write_site

FEATURES = ("boot", "wait", "reboot", "poweroff", "files", "dtb:running", "local", "mark")
OLD_RULE = 'priority = 10\nprofile = "old"\n'
INSTALLER = profile(before="writes_disk = true\n").replace('"payload-up"', '"installed"')
SITE = {"profiles__old": profile(), "profiles__new": profile().replace("panic=10", "panic=20"), "profiles__disk": INSTALLER}


@dataclass
class Grid:
    """One home folder, the clock and the boards. Commands run by the real clock, with which this one begins.

    `reopen` is a server that was killed and started again.
    """

    bench: Bench
    now: float = field(default_factory=time.time)
    boards: list["GridBoard"] = field(default_factory=list)
    config: Config | None = None

    @property
    def home(self) -> Path:
        return self.bench.server.config.home

    @property
    def server(self) -> Server:
        return self.bench.server

    def reopen(self, **settings: int) -> None:
        self.bench.server.database.close()
        toml = "".join(f"{key} = {value}\n" for key, value in settings.items())
        if toml:
            (self.home / "server.toml").write_text(toml)
        text = (self.home / "server.toml").read_text() if (self.home / "server.toml").exists() else ""
        self.bench.server = open_server(Config.from_toml(self.home, text), create=False)

    def run(self, *arguments: str) -> int:
        return main(["--home", str(self.home), *arguments])

    def add_boards(self, count: int) -> list["GridBoard"]:
        """They have asked once, and somebody has approved them."""
        new = [GridBoard(self, len(self.boards) + number) for number in range(count)]
        for board in new:
            board.power_on()
            board.ask()
        with self.server.database.writing() as connection:
            for node in node_records.list_nodes(connection, limit=1_000_000):
                if node.approved_at is None:
                    node_records.approve_node(connection, node.id, self.now, "name", "test")
        self.boards += new
        return new


@dataclass
class GridBoard:
    """One board with a serial number of its own."""

    grid: Grid
    number: int
    boot_id: str = ""
    plan: Plan | None = None

    def power_on(self) -> None:
        self.boot_id, self.plan = str(uuid.uuid4()), None

    def ask(self) -> Plan:
        token = self.plan.token if self.plan else ""
        report = make_report(boot_id=self.boot_id, evidence=serial(f"10000000ab{self.number:06x}"), features=FEATURES)
        raw = answer(self.grid.server, Question(body_of(report), token, "10.0.0.7", self.grid.now))
        self.plan = Plan.from_json(raw, "arm64")
        return self.plan

    def boot(self) -> str:
        """Power on and ask: the profile that it gets, or why it waits, or `local`."""
        self.power_on()
        return self.gets()

    def gets(self) -> str:
        plan = self.ask()
        return plan.boot.profile if plan.boot else str(plan.wait.reason) if plan.wait else str(plan.action)

    def tell(self, name: str, source: str = "agent", seq: int = 0) -> None:
        event = {"source": source, "seq": seq, "name": name, "at_ms": seq + 1, "data": {"message": "it broke"}}
        self._send("events", {"version": 1, "events": [event]})

    def come_up(self) -> None:
        """The jump, and the payload's first word."""
        self.tell("handover", seq=5)
        self.tell("payload-up", "payload", seq=1)

    def finish_install(self) -> None:
        self.tell("handover", seq=5)
        self.tell("installing", "installer", seq=1)
        assert self.plan is not None
        self._send("done", {"install_id": self.plan.install_id})

    def fail(self) -> None:
        self._send("failed", {"why": "no space left on the disk"})

    def _send(self, path: str, body: dict[str, object]) -> None:
        assert self.plan is not None
        server, raw = self.grid.server, json.dumps(body).encode()
        take = {"events": boot_channel.take_events, "done": boot_channel.take_done, "failed": boot_channel.take_failed}[path]
        with server.database.writing() as connection:
            boot = require_token(server, connection, self.boot_id, self.plan.token, self.grid.now)
            take(connection, boot, raw, self.grid.now)


def make_grid(folder: Path, boards: int, **settings: int) -> Generator[Grid, None, None]:
    """A grid on which every board boots the profile `old` by a rule; `new` and `disk` (an installer) are there too."""
    for bench in make_bench(folder, Config(folder / "home")):
        bench.apply(**SITE, rules__lab=OLD_RULE)
        grid = Grid(bench)
        grid.reopen(**settings)
        grid.add_boards(boards)
        yield grid
        grid.server.database.close()


def put_in_force(grid: Grid, **texts: str) -> int:
    return grid.run("apply", str(write_site(grid.bench.folder / "site", **{**SITE, "rules__lab": OLD_RULE, **texts})), "--yes")
