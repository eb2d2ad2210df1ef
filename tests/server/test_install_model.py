"""The life cycle of installs against a model of the world: boards, people, lost messages, power cuts, lost databases.

Hypothesis looks for a story in which the real server, on a real database file, installs twice, unasked, or without end, or
keeps an installed board from its system. What must hold for every answer is in tests/fakes/install_wishes.py.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from bootpilot_agent.plan import Plan
from bootpilot_server.asking import ordering
from bootpilot_server.config import Config
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.server import open_server
from bootpilot_server.store import node_records, revision_records
from tests.fakes.install_wishes import ATTEMPTS, Known, Wishes
from tests.fakes.installing_boards import Board, Running, World
from tests.fakes.site import INITRD, KERNEL, digest, profile

INSTALLER = f"""\
expects = "installed"
writes_disk = true
attempts = {ATTEMPTS}
payload_up_deadline_s = 300
done_deadline_s = 3000

[local]
otherwise = "reinstall"
"""
LAMP = INSTALLER + profile().replace('expects = "payload-up"\n', "").replace('command_line = "console=ttyAMA0 panic=10"\n', "")
BOARDS = st.integers(min_value=0, max_value=1)
CHANCE = st.sampled_from([False, False, True])
NOTHING_LOST = (False, False, False)
# The steps of an installation, and after how many of them the power is cut: most often it is not.
WHOLE = 6
STOPS = st.sampled_from([WHOLE, WHOLE, WHOLE, 0, 1, 2, 3, 4, 5])
# The server waits for its disk at every answer; what a story needs of it is gone at its end.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# Long enough for a board without faults to end in its system: two installs, each given up once, and failed starts.
ENOUGH_BOOTS = 24


def rule_text(key: str) -> str:
    return f'priority = 10\nprofile = "lamp"\nadmit = true\ninstall = "{key}"\n[match]\narch = "arm64"\n'


def fill_home(home: Path) -> None:
    for content in (KERNEL, INITRD):
        path = home / "artifacts" / "sha256" / digest(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    open_server(Config(home), create=True).database.close()


@pytest.fixture(scope="module", autouse=True)
def _template(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server's folder as it is before anybody has asked: copied for every story."""
    Grid.template = tmp_path_factory.mktemp("template")
    fill_home(Grid.template)


class Grid(RuleBasedStateMachine):
    """Two boards and one server."""

    template: Path

    @initialize(key=st.sampled_from(["one", "one", ""]), past=st.sampled_from(["installed", "ordered", "approved", "new"]))
    def start(self, key: str, past: str) -> None:
        """Most stories begin with boards that are approved already, or even installed."""
        self.folder = Path(tempfile.mkdtemp(prefix="bootpilot-", dir=MEMORY))
        self.home = self.folder / "home"
        shutil.copytree(self.template, self.home)
        self.world = World(None)
        self.wishes = Wishes()
        self.backups: list[tuple[Path, Known]] = []
        self.keys = 0
        self.boards = [Board(self.world, 0), Board(self.world, 1, autonomous_after_s=60)]
        for board in self.boards:
            self.listen(board)
        self.open()
        if key:
            self.put_in_force(key)
        for number in range(len(self.boards)) if past != "new" else ():
            self.boot(number, NOTHING_LOST, WHOLE, 10.0)
            self.approve(number)
        for number in range(len(self.boards)) if past in ("installed", "ordered") else ():
            if past == "ordered":
                self.reinstall(number)
            self.boot(number, NOTHING_LOST, WHOLE, 10.0)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.everybody_gets_home()
        finally:
            self.close()
            shutil.rmtree(self.folder)

    def listen(self, board: Board) -> None:
        board.heard = lambda boot_id, name, install_id: self.wishes.hear(board, boot_id, name, install_id)
        board.asked = lambda report: self.wishes.ask(board, report, self.world.now)
        board.answered = lambda _report, plan, is_live: self.wishes.check_answer(board, plan, self.world.now, is_live=is_live)

    def open(self) -> None:
        self.world.server = open_server(Config(self.home), create=True)

    def close(self) -> None:
        if self.world.server:
            self.world.server.database.close()
        self.world.server = None

    # What people do.

    @rule(number=BOARDS)
    def approve(self, number: int) -> None:
        if node := self.find(number):
            assert self.world.server is not None
            with self.world.server.database.writing() as connection:
                node_records.approve_node(connection, node.id, self.world.now)
            self.wishes.approve(self.boards[number])

    @rule(number=BOARDS)
    def reinstall(self, number: int) -> None:
        if node := self.find(number):
            assert self.world.server is not None
            with self.world.server.database.writing() as connection:
                install_id = ordering.reinstall(connection, node, "lamp", self.world.now, "irina")
            self.wishes.order(self.boards[number], install_id)
            self.wishes.known.held.discard(number)

    @rule(number=BOARDS, stops_after=STOPS)
    def reinstall_in_mid_install(self, number: int, stops_after: int) -> None:
        """While an installer runs somebody asks for another install; the one that runs ends as it would have."""
        board = self.boards[number]
        board.power_on()
        self.ask_once(board)
        if board.running is Running.INSTALLER:
            board.begin_install()
            board.wipe()
            self.reinstall(number)
            self.install(board, lost=(False, False), stops_after=stops_after, seconds=10.0)

    @rule(number=BOARDS)
    def hold(self, number: int) -> None:
        if node := self.find(number):
            assert self.world.server is not None
            with self.world.server.database.writing() as connection:
                ordering.hold(connection, node, "a new fan", self.world.now, "irina")
            self.wishes.known.held.add(number)

    @rule(number=BOARDS)
    def release(self, number: int) -> None:
        if node := self.find(number):
            assert self.world.server is not None
            with self.world.server.database.writing() as connection:
                ordering.release(connection, node, self.world.now, "irina")
            self.wishes.release(self.boards[number], node.id)

    @rule()
    def change_key(self) -> None:
        if self.world.server is not None:
            self.keys += 1
            self.put_in_force(f"key{self.keys}")

    @rule()
    def put_the_folder_in_force_again(self) -> None:
        """As after the loss of a database: the operator's newest folder, nothing new in it."""
        if self.world.server is not None and self.wishes.key_since:
            self.put_in_force(max(self.wishes.key_since, key=lambda key: self.wishes.key_since[key]))

    # What happens to servers and clocks.

    @rule()
    def stop_or_start_server(self) -> None:
        if self.world.server:
            self.close()
        else:
            self.open()

    @rule()
    def restart_server(self) -> None:
        self.close()
        self.open()

    @rule()
    def back_up(self) -> None:
        self.close()
        copy = self.folder / f"backup-{len(self.backups)}"
        shutil.copyfile(self.home / "state.sqlite", copy)
        self.backups.append((copy, self.wishes.backup()))
        self.open()

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        self.close()
        copy, known = data.draw(st.sampled_from(self.backups))
        self.drop_database()
        shutil.copyfile(copy, self.home / "state.sqlite")
        self.wishes.restore(known)
        self.open()

    @rule()
    def lose_database(self) -> None:
        self.close()
        self.drop_database()
        self.wishes.restore(Known())
        self.open()

    @rule(seconds=st.sampled_from([60.0, 400.0, 4000.0, 90_000.0, 8 * 86_400.0, -3600.0]))
    def turn_clock(self, seconds: float) -> None:
        self.world.now += seconds

    # What happens to boards.

    @rule(number=BOARDS)
    def switch_on(self, number: int) -> None:
        self.boards[number].power_on()

    @rule(number=BOARDS)
    def cut_power(self, number: int) -> None:
        self.boards[number].power_off()

    @rule(number=BOARDS, is_lost=CHANCE, is_doubled=CHANCE)
    def ask(self, number: int, is_lost: bool, is_doubled: bool) -> None:
        board = self.boards[number]
        if board.running is not Running.AGENT:
            board.power_on()
        self.ask_once(board, is_lost=is_lost, is_doubled=is_doubled)

    @rule(number=BOARDS, lost=st.tuples(CHANCE, CHANCE, CHANCE), stops_after=STOPS, seconds=st.sampled_from([10.0, 400.0]))
    def boot(self, number: int, lost: tuple[bool, bool, bool], stops_after: int, seconds: float) -> None:
        """A whole boot from power-on, which the next power cut ends after so many steps."""
        board = self.boards[number]
        board.power_on()
        self.ask_once(board, is_lost=lost[0])
        self.install(board, lost=lost[1:], stops_after=stops_after, seconds=seconds)

    @rule(number=BOARDS, lost=st.tuples(CHANCE, CHANCE), stops_after=STOPS)
    def go_on(self, number: int, lost: tuple[bool, bool], stops_after: int) -> None:
        self.install(self.boards[number], lost=lost, stops_after=stops_after, seconds=10.0)

    @rule(number=BOARDS, times=st.integers(1, 3), is_told=st.booleans(), is_late=CHANCE, wipes=st.booleans())
    def fail(self, number: int, times: int, is_told: bool, is_late: bool, wipes: bool) -> None:
        """Installers that give up, saying so or in silence."""
        board = self.boards[number]
        for _ in range(times):
            board.power_on()
            self.ask_once(board)
            if board.running is Running.INSTALLER:
                board.begin_install()
                if wipes:
                    board.wipe()
                board.say_failed(is_lost=not is_told, is_late=is_late)
                self.turn_clock(10.0 if is_told else 4000.0)
            board.power_off()

    @rule(number=BOARDS, times=st.integers(1, 7), is_lost=st.booleans())
    def cut_power_before_the_jump(self, number: int, times: int, is_lost: bool) -> None:
        for _ in range(times):
            self.boards[number].power_on()
            self.ask_once(self.boards[number], is_lost=is_lost)
            self.boards[number].power_off()

    @rule(number=BOARDS)
    def two_boots_at_once(self, number: int) -> None:
        """A second question, from a boot that will never come to anything: it overtakes the boot that goes on."""
        board = self.boards[number]
        kept = (board.boot_id, board.token, board.plan, board.running)
        board.power_on()
        self.ask_once(board, is_lost=True)
        board.boot_id, board.token, board.plan, board.running = kept

    @precondition(lambda self: any(board.delayed for board in self.boards))
    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: st.DataObject, again: bool) -> None:
        """A delayed message arrives; the same one may arrive once more."""
        board = data.draw(st.sampled_from([board for board in self.boards if board.delayed]))
        index = data.draw(st.integers(0, len(board.delayed) - 1))
        board.delayed[index]()
        if not again:
            board.delayed.pop(index)

    @rule()
    def swap_disks(self) -> None:
        one, other = self.boards
        one.power_off()
        other.power_off()
        one.mark, other.mark = other.mark, one.mark

    @invariant()
    def nothing_runs_on_a_foreign_disk(self) -> None:
        for board in getattr(self, "boards", ()):
            if board.running is Running.SYSTEM and board.mark is not None:
                assert board.mark.names(board.report().evidence), "a board started the system of another one"

    # The steps of which these are made.

    def find(self, number: int) -> NodeRecord | None:
        if self.world.server is None:
            return None
        with self.world.server.database.reading() as connection:
            return next(iter(node_records.search_nodes(connection, self.boards[number].serial)), None)

    def put_in_force(self, key: str) -> None:
        assert self.world.server is not None
        with self.world.server.database.writing() as connection:
            texts = {"profiles/lamp.toml": LAMP, "rules/lamp.toml": rule_text(key)}
            revision_records.add_revision(connection, texts, self.world.now)
        self.wishes.put_in_force(key)

    def drop_database(self) -> None:
        for path in self.home.glob("state.sqlite*"):
            path.unlink()

    def ask_once(self, board: Board, *, is_lost: bool = False, is_doubled: bool = False) -> Plan | None:
        self.world.now += 1.0
        if self.world.server is None:
            board.give_up()
            return None
        return board.ask(is_lost=is_lost, is_doubled=is_doubled)

    def install(self, board: Board, *, lost: tuple[bool, ...], stops_after: int, seconds: float) -> None:
        """As far as the installer gets: jump, first write, work, last write, done, a jump into the new system."""
        handover, done = lost
        steps: tuple[Callable[[], object], ...] = (
            lambda: board.begin_install(is_lost=handover),
            board.wipe,
            lambda: self.turn_clock(seconds),
            board.finish,
            lambda: board.say_done(is_lost=done, is_doubled=not done),
            lambda: setattr(board, "running", Running.SYSTEM),
        )
        if board.running is Running.INSTALLER:
            for step in steps[:stops_after]:
                step()
            if stops_after < len(steps):
                board.power_off()

    def everybody_gets_home(self) -> None:
        """Without further faults every board that is installed, or is to be, ends in the system on its disk."""
        if self.world.server is None:
            self.open()
        self.put_in_force(f"key{self.keys}" if self.keys else "one")
        for board in self.boards:
            board.delayed.clear()
            if board.mark is not None and not board.mark.names(board.report().evidence):
                board.mark = None
        for number, board in enumerate(self.boards):
            self.release(number)
            was_installed = board.is_installed
            for _ in range(ENOUGH_BOOTS):
                board.power_on()
                self.turn_clock(100.0)
                plan = self.ask_once(board)
                if plan is not None and plan.wait is not None and plan.wait.reason == "on-hold":
                    self.release(number)
                self.install(board, lost=(False, False), stops_after=WHOLE, seconds=10.0)
                if board.running is Running.SYSTEM or (
                    plan and plan.wait and plan.wait.reason in ("not-approved", "no-usable-plan")
                ):
                    break
            if was_installed or number in self.wishes.known.ordered:
                assert board.running is Running.SYSTEM, f"board {number} never got home: {plan}"
            self.wishes.check_fulfilled(board)
        self.close()
        for board in self.boards:
            board.power_on()
            self.ask_once(board)
            assert not board.is_installed or board.running is Running.SYSTEM, "no server, and an installed board stays down"


def test_no_story_makes_the_server_install_twice_unasked_or_without_end() -> None:
    run_state_machine_as_test(Grid, settings=settings(max_examples=20, stateful_step_count=25))


@pytest.mark.long
def test_a_thousand_longer_stories_do_not_either() -> None:
    run_state_machine_as_test(Grid, settings=settings(max_examples=1000, stateful_step_count=50))
