"""What people wished for in a world of boards, and what a server with a given database can know of it.

`Wishes` is the truth: who wanted which install, when. `Known` is what the database of the moment holds of that; it is copied
with a backup, put back with a restore, and empty after a loss. `check_answer` holds every plan against both.
"""

import copy
from dataclasses import dataclass, field

from bootpilot_agent.mark import Mark
from bootpilot_agent.plan import Action, Plan, Report, Wait
from bootpilot_server.deciding.install_facts import automatic_install_id, rule_install_id
from bootpilot_server.deciding.installs import TAKES_PER_ATTEMPT
from bootpilot_server.deciding.marks import marks_of
from tests.fakes.installing_boards import Board

ATTEMPTS = 2
# The shortest deadline after the jump.
SILENCE_S = 300.0


@dataclass
class Known:
    """`ordered` and `key` are what is wanted; `takes`, `spoke` and `failed` hold boots, by install id or by boot."""

    key: str = ""
    ordered: dict[int, str] = field(default_factory=dict)
    approved: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    takes: dict[str, set[str]] = field(default_factory=dict)
    attempts: dict[str, set[str]] = field(default_factory=dict)
    planned: dict[str, tuple[str, float]] = field(default_factory=dict)
    last_boot: dict[int, str] = field(default_factory=dict)
    spoke: set[str] = field(default_factory=set)
    adopted: set[int] = field(default_factory=set)


@dataclass
class Wishes:
    """`since` is when each install was wished for, `key_since` when the operator changed the rule's key: in the order in which
    it happened, whatever clocks say.
    """

    known: Known = field(default_factory=Known)
    since: dict[str, float] = field(default_factory=dict)
    key_since: dict[str, float] = field(default_factory=dict)

    def put_in_force(self, key: str) -> None:
        self.known.key = key
        self.key_since.setdefault(key, self._next())

    def _next(self) -> float:
        """A moment after all those so far."""
        return float(len(self.since) + len(self.key_since))

    def backup(self) -> Known:
        return copy.deepcopy(self.known)

    def restore(self, known: Known) -> None:
        self.known = copy.deepcopy(known)

    def order(self, board: Board, install_id: str) -> None:
        self.known.ordered[board.number] = install_id
        self.approve(board)
        self.since[install_id] = self._next()

    def approve(self, board: Board) -> None:
        self.known.approved.add(board.number)
        self.known.adopted.discard(board.number)

    def hear(self, board: Board, boot_id: str, name: str, install_id: str | None) -> None:
        """A message of a boot arrived and was accepted."""
        self.known.spoke.add(boot_id)
        if name == "done" and install_id:
            self.known.done.add(install_id)
        if name == "failed" and boot_id in self.known.planned:
            self.known.attempts.setdefault(self.known.planned[boot_id][0], set()).add(boot_id)

    def ask(self, board: Board, report: Report, now: float) -> None:
        """A board's question arrives: the boot before it may have been overdue, and the mark tells what is done."""
        before = self.known.last_boot.get(board.number, "")
        if report.boot_id != before and before in self.known.planned and before in self.known.spoke:
            install_id, planned_at = self.known.planned[before]
            if now > planned_at + SILENCE_S:
                self.known.attempts.setdefault(install_id, set()).add(before)
        self.known.last_boot[board.number] = report.boot_id
        for mark in marks_of(report):
            if mark.names(report.evidence):
                self._see(board, mark)

    def _see(self, board: Board, mark: Mark) -> None:
        """A board's own mark. One of which the database knows nothing makes the board adopted, and sets orders aside."""
        known = self.known.done | self.known.takes.keys() | set(self.known.ordered.values())
        is_rules = board.number in self.known.approved - self.known.adopted
        if mark.install_id not in known and not (is_rules and mark.install_id == rule_install_id(mark.node_id, self.known.key)):
            self.known.adopted.add(board.number)
            self.known.ordered.pop(board.number, None)
        self.known.done.add(mark.install_id)

    def wanted_on(self, board: Board, node_id: str) -> set[str]:
        """What this server may install: the last order, the rule's key, one more try where a done install does not start."""
        wanted = {rule_install_id(node_id, self.known.key)} if self.known.key else set()
        wanted |= {self.known.ordered[board.number]} if board.number in self.known.ordered else set()
        return wanted | {automatic_install_id(node_id, done) for done in self.known.done}

    def wished_at(self, install_id: str, node_id: str) -> float:
        keys = {rule_install_id(node_id, key): since for key, since in self.key_since.items()}
        return self.since.get(install_id, keys.get(install_id, float("-inf")))

    def check_answer(self, board: Board, plan: Plan, now: float, *, is_live: bool) -> None:
        """Every rule about installs that must hold for every answer, whatever happened before it. One that is not live reaches
        nobody, and answers a report that may be old.
        """
        if plan.action is Action.BOOT and plan.install_id is not None:
            if is_live:
                self._check_install(board, plan, plan.install_id)
            self._count_take(plan, plan.install_id, now)
        elif is_live and board.mark is not None and plan.wait is not None:
            self._check_wait(board, board.mark, plan.wait)
        if plan.wait is not None and plan.wait.reason == "on-hold" and plan.wait.text.startswith("install "):
            self._check_limit(plan.wait.text)

    def _check_install(self, board: Board, plan: Plan, install_id: str) -> None:
        mark = board.mark
        assert board.number in self.known.approved, "an install that nobody approved"
        assert board.number not in self.known.adopted, "an install on an adopted board"
        assert board.number not in self.known.held, "an install for a board on hold"
        assert install_id in self.wanted_on(board, plan.node_id), "an install that nobody wants"
        assert install_id not in self.known.done, "a second install for an id that is done"
        if install_id in {automatic_install_id(plan.node_id, done) for done in self.known.done}:
            self.since.setdefault(install_id, self._next())
        if mark is not None:
            assert mark.names(board.report().evidence), "an install on the disk of another board"
            newer = self.wished_at(install_id, plan.node_id) > self.wished_at(mark.install_id, mark.node_id)
            assert newer, "a whole system overwritten by a wish that is older than it"

    def _count_take(self, plan: Plan, install_id: str, now: float) -> None:
        takes = self.known.takes.setdefault(install_id, set())
        takes.add(plan.boot_id)
        self.known.planned[plan.boot_id] = (install_id, now)
        assert len(takes) <= TAKES_PER_ATTEMPT * ATTEMPTS, "an install without end"

    def _check_wait(self, board: Board, mark: Mark, wait: Wait) -> None:
        if mark.names(board.report().evidence):
            assert wait.reason == "on-hold", f"an installed board is kept from its system: {wait}"
        else:
            assert wait.reason == "conflict", wait

    def _check_limit(self, text: str) -> None:
        install_id = text.split("install ")[1].split()[0]
        if "did not start from the disk" in text:
            return
        takes, attempts = self.known.takes.get(install_id, set()), self.known.attempts.get(install_id, set())
        is_over = len(attempts) >= ATTEMPTS or len(takes) >= TAKES_PER_ATTEMPT * ATTEMPTS
        assert is_over, f"given up after {len(attempts)} failures and {len(takes)} boots: {text}"

    def check_fulfilled(self, board: Board) -> None:
        """At the end, when nothing fails any more: what was ordered last is on the disk, or was."""
        order = self.known.ordered.get(board.number)
        assert order is None or order in self.known.done, "an order that was never carried out"

    def release(self, board: Board, node_id: str) -> None:
        self.known.held.discard(board.number)
        for install_id in self.wanted_on(board, node_id):
            self.known.takes.pop(install_id, None)
            self.known.attempts.pop(install_id, None)
