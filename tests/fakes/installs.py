"""A profile that installs and a rule with an install key, as an operator writes them; and a server with one board on which both
are in force.
"""

import uuid
from typing import Any

from bootpilot_agent.mark import Mark
from bootpilot_agent.plan import Plan
from bootpilot_server.deciding.install_facts import InstallFacts
from bootpilot_server.server import open_server
from bootpilot_server.store import install_records, node_records
from tests.fakes.bench import Bench
from tests.fakes.installing_boards import Board, World
from tests.fakes.site import profile

HEAD = """\
expects = "installed"
writes_disk = true
command_line = "quiet"
payload_up_deadline_s = 300
done_deadline_s = 3000
"""


def installer(head: str = "", *, local: str = "") -> str:
    """The text of profiles/lamp.toml; `head` stands among its top-level keys, `local` in its table [local]."""
    body = profile().partition("[kernel]")[2]
    return f"{HEAD}{head}\n[local]\n{local}\n[kernel]{body}"


INSTALLER = installer()


def install_rule(key: str, *, priority: int = 10, name: str = "lamp") -> str:
    return f'priority = {priority}\nprofile = "{name}"\ninstall = "{key}"\n[match]\narch = "arm64"\n'


class Site:
    """A server with one installing rule, and a board that a person has approved by name."""

    def __init__(self, bench: Bench, **texts: str) -> None:
        self.bench = bench
        self.texts = {"profiles__lamp": INSTALLER, "rules__lab": install_rule("v1"), **texts}
        bench.apply(**self.texts)
        self.world = World(bench.server)
        self.board = Board(self.world, 1)
        self.boot()
        self.approve()

    def boot(self, *, is_lost: bool = False) -> Plan | None:
        self.world.now += 30.0
        self.board.power_on()
        return self.board.ask(is_lost=is_lost)

    def plan(self) -> Plan:
        plan = self.boot()
        assert plan is not None
        return plan

    def install(self) -> str:
        """One whole install. Returns its id."""
        plan = self.plan()
        assert plan.writes_disk, plan
        self.board.begin_install()
        self.board.wipe()
        self.board.finish()
        self.board.say_done()
        return str(plan.install_id)

    @property
    def node_id(self) -> str:
        with self.bench.server.database.reading() as connection:
            return node_records.search_nodes(connection, self.board.serial)[0].id

    def approve(self) -> None:
        node_id = self.node_id
        with self.bench.server.database.writing() as connection:
            node_records.approve_node(connection, node_id, self.world.now)

    def order(self, deed: Any, *words: object) -> Any:
        with self.bench.server.database.writing() as connection:
            node = node_records.find_node(connection, self.node_id)
            assert node is not None
            return deed(connection, node, *words, self.world.now, "irina")

    def installs(self) -> dict[str, InstallFacts]:
        node_id = self.node_id
        with self.bench.server.database.reading() as connection:
            return install_records.installs_of(connection, node_id)

    def texts_of_history(self) -> list[str]:
        node_id = self.node_id
        with self.bench.server.database.reading() as connection:
            return [entry.text for entry in node_records.list_history(connection, node_id)]

    def lose_database(self) -> None:
        """The server's records are gone; its folder of profiles and rules is put in force again."""
        self.bench.server.database.close()
        for path in self.bench.server.config.home.glob("state.sqlite*"):
            path.unlink()
        self.bench.server = self.world.server = open_server(self.bench.server.config, create=True)
        self.bench.apply(**self.texts)


def reason(plan: Plan) -> str:
    assert plan.wait is not None, plan
    return plan.wait.reason


def text(plan: Plan) -> str:
    assert plan.wait is not None, plan
    return plan.wait.text


def ask_from_power_on(board: Board) -> Plan:
    board.power_on()
    plan = board.ask()
    assert plan is not None
    return plan


def board_uuid(board: Board) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, board.serial))


def mark_of(board: Board, install_id: str) -> Mark:
    return Mark(board_uuid(board), install_id, "dt-serial", board.serial, "4d0b5f4c-02", 600)
