"""Newer loaders: who gets one, that it never becomes a loop, and that a board goes on without one that fails."""

import json
import tomllib
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bootpilot_agent.events import EventName
from bootpilot_agent.plan import LastAttempt, Plan, Report
from bootpilot_server.asking import boot_channel
from bootpilot_server.asking.answer import Question, answer
from bootpilot_server.cli import main
from bootpilot_server.commands.explain import explain, find_by_text
from bootpilot_server.deciding.boot_state import StateKind, state_of
from bootpilot_server.deciding.decision import MAX_FAILURES, MAX_OFFERS
from bootpilot_server.store import boot_records, loader_records
from tests.fakes.bench import Bench
from tests.fakes.loaders import NEW, OLD, loader, write_build
from tests.fakes.reports import SERIAL, body_of, make_report
from tests.fakes.site import INITRD, KERNEL, digest

MINUTE_S, DAY_S = 60.0, 86400.0


@dataclass
class Board:
    """One board whose card holds the loader OLD. `says_builds`: an agent that knows what ran before it, as today's do."""

    bench: Bench
    says_builds: bool = True
    changes: dict[str, Any] = field(default_factory=dict)
    now: float = 1_000_000.0
    chain: tuple[str, ...] = ()

    def power_on(self) -> None:
        self.chain = ()

    def ask(self, build: str = OLD, **changes: Any) -> Plan:
        """The loader of this build runs now, and begins a boot."""
        self.now += MINUTE_S
        self.chain = (*self.chain, build)
        return self.ask_again(build, **changes)

    def ask_again(self, build: str = OLD, **changes: Any) -> Plan:
        """Another boot of the loader that runs already, as after a failure."""
        report: Report = make_report(build_id=build, loader_builds=self.chain if self.says_builds else (), **self.changes)
        body = body_of(replace(report, **changes))
        raw = answer(self.bench.server, Question(body, "", "10.0.0.7", self.now))
        return Plan.from_json(raw, "arm64")

    def tell(self, plan: Plan, name: EventName, seq: int = 0, source: str = "agent", **data: Any) -> None:
        event = {"source": source, "seq": seq, "name": name, "at_ms": 1, "data": data}
        body = json.dumps({"version": 1, "events": [event]}).encode()
        with self.bench.server.database.writing() as connection:
            boot = boot_records.find_boot(connection, plan.boot_id)
            assert boot is not None
            boot_channel.take_events(connection, boot, body, self.now)

    def why(self) -> tuple[str, ...]:
        return explain(self.bench.server, find_by_text(self.bench.server, SERIAL)).decision.why


def started(plan: Plan) -> str:
    """The loader that the plan starts, "" for the payload."""
    assert plan.boot is not None
    return plan.boot.loader


@pytest.fixture(params=["an agent that says what ran before it", "an agent of a first card"])
def board(bench: Bench, request: pytest.FixtureRequest) -> Board:
    bench.apply(loaders__arm64=loader())
    return Board(bench, says_builds=request.param.startswith("an agent that says"))


def test_the_cards_loader_starts_the_newer_one_and_that_one_the_payload(board: Board) -> None:
    first = board.ask()
    assert first.boot is not None
    assert (first.boot.loader, first.boot.profile) == (NEW, "loader arm64")
    assert first.boot.command_line == "rootfstype=ramfs panic=10 nr_cpus=1"
    assert (first.boot.kernel.sha256, first.boot.initrds[0].sha256) == (digest(KERNEL), digest(INITRD))
    board.tell(first, EventName.HANDOVER)
    second = board.ask(NEW)
    assert (started(second), second.boot and second.boot.profile) == ("", "ram-page")
    with board.bench.server.database.reading() as connection:
        boot = boot_records.find_boot(connection, first.boot_id)
    assert boot is not None
    assert state_of(boot, board.now + DAY_S).kind is StateKind.LOADER_UP


def test_a_plan_says_so_first_and_then_what_the_board_gets_afterwards(board: Board) -> None:
    board.ask()
    assert board.why()[:2] == (
        f"loader arm64 first (build {NEW}; this board runs {OLD})",
        "afterwards: profile ram-page by rule lab (priority 10)",
    )


def test_a_healthy_board_gets_the_newer_loader_at_every_boot(board: Board) -> None:
    for _ in range(MAX_OFFERS + 2):
        board.power_on()
        first = board.ask()
        assert started(first) == NEW
        board.tell(first, EventName.HANDOVER)
        second = board.ask(NEW)
        board.tell(second, EventName.HANDOVER)
        board.tell(second, EventName.PAYLOAD_UP, source="payload")


def test_a_card_that_holds_the_newest_loader_gets_its_payload_at_once(board: Board) -> None:
    assert started(board.ask(NEW)) == ""
    assert "it is what this board runs" in board.why()[1]


@pytest.mark.parametrize("ending", ["comes back", "fails", "never says how far it got"])
def test_a_loader_that_fails_is_given_up_and_the_board_gets_its_payload(board: Board, ending: str) -> None:
    for _ in range(MAX_OFFERS if ending.startswith("never") else MAX_FAILURES):
        board.power_on()
        plan = board.ask()
        assert started(plan) == NEW
        if ending == "comes back":
            board.tell(plan, EventName.HANDOVER)
        elif ending == "fails":
            board.tell(plan, EventName.FAILED, stage="kexec", message="EINVAL")
    board.power_on()
    assert started(board.ask()) == ""
    assert board.why()[0] == "profile ram-page by rule lab (priority 10)"
    assert f"loader arm64 (build {NEW}) is not offered: " in board.why()[1]
    assert "`bootpilot node retry-loader" in board.why()[1]


def test_a_failure_that_was_only_told_in_the_next_report_counts(board: Board) -> None:
    for _ in range(MAX_FAILURES):
        board.power_on()
        plan = board.ask(last_attempt=None)
        attempt = LastAttempt(plan.boot_id, "kexec", "the kernel says no", "")
        board.ask_again(last_attempt=attempt)
        if "is not offered" in board.why()[1]:
            break
    assert "the kernel says no" in board.why()[1]


def test_a_loader_that_dies_after_its_first_word_is_given_up_too(board: Board) -> None:
    for _ in range(MAX_FAILURES):
        board.power_on()
        first = board.ask()
        assert started(first) == NEW
        board.tell(first, EventName.HANDOVER)
        board.ask(NEW)
    board.power_on()
    assert started(board.ask()) == ""
    assert "it reported, and the board came back without it" in board.why()[1]


@pytest.mark.parametrize("handed_over", [False, True], ids=["kexec refuses", "the jump comes back"])
def test_a_loader_that_never_gets_to_its_payload_is_given_up_and_the_cards_one_tries(board: Board, handed_over: bool) -> None:
    for _ in range(MAX_FAILURES):
        board.power_on()
        first = board.ask()
        assert started(first) == NEW
        board.tell(first, EventName.HANDOVER)
        payload = board.ask(NEW)
        for _ in range(1 if handed_over else 3):  # agents that reboot at once, or after three refusals
            assert started(payload) == ""
            if handed_over:
                board.tell(payload, EventName.HANDOVER, seq=1)
            board.tell(payload, EventName.FAILED, seq=2, stage="kexec", message="no way")
            payload = payload if handed_over else board.ask_again(NEW)
    board.power_on()
    assert started(board.ask()) == ""
    assert "it reported, and the board came back without it" in board.why()[1]
    assert not handed_over or "kexec: no way" in board.why()[1]


def test_a_payload_that_fails_after_the_jump_speaks_against_no_loader(board: Board) -> None:
    for _ in range(MAX_FAILURES + 1):
        board.power_on()
        first = board.ask()
        assert started(first) == NEW
        board.tell(first, EventName.HANDOVER)
        second = board.ask(NEW)
        board.tell(second, EventName.HANDOVER, seq=1)
        board.tell(second, EventName.FAILED, source="payload", stage="disk", message="no disk")


def test_power_cuts_at_a_board_that_waits_speak_against_no_loader(board: Board) -> None:
    board.bench.apply(
        loaders__arm64=loader(), rules__lab='priority = 1\nprofile = "ram-page"\nadmit = true\n[match]\nmodel = "none"\n'
    )
    node_id = board.ask().node_id
    assert main(["--home", str(board.bench.server.config.home), "node", "approve", node_id]) == 0
    for _ in range(MAX_OFFERS + 1):
        board.power_on()
        first = board.ask()
        assert started(first) == NEW
        board.tell(first, EventName.HANDOVER)
        assert board.ask(NEW).wait is not None


def test_the_operator_can_have_it_tried_again(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(MAX_FAILURES):
        board.tell(board.ask(), EventName.HANDOVER)
        board.power_on()
    assert started(board.ask()) == ""
    page = board.bench.client.get(f"/nodes/{find_by_text(board.bench.server, SERIAL).id}").text
    assert f"<dt>Not offered</dt><dd>loader <bdi>{NEW}</bdi>" in page
    home = ["--home", str(board.bench.server.config.home)]
    main([*home, "loader", "list", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["given_up_on"] == 1
    assert main([*home, "node", "retry-loader", SERIAL]) == 0
    board.power_on()
    assert started(board.ask()) == NEW


def test_another_build_starts_with_a_clean_record(board: Board) -> None:
    for _ in range(MAX_FAILURES):
        board.tell(board.ask(), EventName.HANDOVER)
        board.power_on()
    board.bench.apply(loaders__arm64=loader(build="0000cafe0000cafe"))
    board.power_on()
    assert started(board.ask()) == "0000cafe0000cafe"


def test_loaders_that_name_each_other_by_turns_are_no_loop(board: Board) -> None:
    """Each of two files is for the boards that run the other's build."""
    turns = {
        "loaders__forth": loader(match=f'\n[match]\nloader = "{OLD}"\n'),
        "loaders__back": loader(build=OLD, match=f'\n[match]\nloader = "{NEW}"\n'),
    }
    board.bench.apply(loaders__arm64=loader(build="1111111111111111").replace("priority = 10", "priority = 1"), **turns)
    first = board.ask()
    assert started(first) == NEW
    board.tell(first, EventName.HANDOVER)
    assert started(board.ask(NEW)) == ""
    assert any("it ran before the one that runs now" in reason for reason in board.why())


def test_a_loader_whose_agent_is_another_build_than_its_file_says_is_no_loop(board: Board) -> None:
    builds = []
    for _ in range(10):
        plan = board.ask(OLD if not board.chain else "3333333333333333")
        builds.append(started(plan))
        board.tell(plan, EventName.HANDOVER)
        if not builds[-1]:
            break
    assert builds[-1] == ""
    assert len(builds) <= MAX_FAILURES + 1


def test_a_profile_that_boots_a_loader_round_and_round_ends_in_a_wait(bench: Bench) -> None:
    bench.apply()
    board = Board(bench)
    while board.ask().boot:
        assert len(board.chain) < 10
    assert "a profile seems to boot a loader" in board.why()[0]


def test_a_board_that_nobody_let_in_gets_no_loader_either(bench: Bench) -> None:
    bench.apply(loaders__arm64=loader(), rules__lab='priority = 1\nprofile = "ram-page"\n')
    assert Board(bench).ask().wait is not None


def test_a_loader_that_is_only_offered_where_needed_goes_to_boards_that_lack_something(bench: Bench) -> None:
    needy = 'priority = 20\nprofile = "tree"\nadmit = true\n'
    tree = f'expects = "none"\nrequires = ["mark"]\n[kernel]\nsha256 = "{digest(KERNEL)}"\n'
    bench.apply(loaders__arm64=loader('offer = "needed"'), profiles__tree=tree, rules__needy=needy)
    assert started(Board(bench).ask()) == NEW
    able = Board(bench, changes={"features": ("boot", "dtb:running", "mark")})
    plan = able.ask()
    assert (started(plan), plan.boot and plan.boot.profile) == ("", "tree")


def test_a_loader_for_some_boards_only_is_named_by_match(bench: Bench) -> None:
    bench.apply(loaders__arm64=loader(match='\n[match]\nmodel = "Orange*"\n'))
    board = Board(bench)
    assert started(board.ask()) == ""
    assert "loader arm64 lost: model is 'Radxa ROCK 5B', it wants 'Orange*'" in board.why()
    assert started(Board(bench, changes={"model": "Orange Pi PC"}).ask()) == NEW


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (loader().replace('arch = "arm64"\n', ""), "arch: expected one of amd64"),
        (loader(build="-"), "build: expected the build id"),
        (loader("writes_disk = false"), "writes_disk: unknown key"),
        (loader().replace(digest(KERNEL), "0" * 64), "is not on this server"),
        (loader('offer = "often"'), "offer: expected one of always, needed"),
    ],
)
def test_a_wrong_loader_file_is_named_with_its_line_and_not_applied(bench: Bench, text: str, told: str) -> None:
    applied = bench.apply(loaders__arm64=text)
    assert not applied.is_usable
    assert any(told in str(finding) and str(finding).startswith("loaders/arm64.toml:") for finding in applied.findings)


def test_two_loaders_of_one_priority_for_the_same_boards_are_refused(bench: Bench) -> None:
    applied = bench.apply(loaders__arm64=loader(), loaders__other=loader(build="1111111111111111"))
    assert any("has the priority 10 of loaders/arm64.toml" in finding.reason for finding in applied.findings)


def test_what_a_loader_lacks_that_every_card_has_is_a_warning(bench: Bench) -> None:
    applied = bench.apply(loaders__arm64=loader().replace("nr_cpus=1", "quiet"))
    assert applied.is_usable
    assert any("lacks nr_cpus=1" in finding.reason for finding in applied.findings)


def test_loader_add_prints_a_file_that_check_finds_good(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(bench.server.config.home)]
    assert main([*home, "loader", "add", str(write_build(bench.folder / "new")), "--console", "ttyS0,115200"]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text)["command_line"] == "rootfstype=ramfs panic=10 nr_cpus=1 console=ttyS0,115200"
    assert tomllib.loads(text)["initrd"][0]["unpacked_size"] == 40_000_000
    assert bench.apply(loaders__arm64=text).findings == ()
    assert started(Board(bench).ask()) == NEW


@pytest.mark.parametrize(("arch", "told"), [("armhf", "is a kernel for arm64"), ("pdp11", "arch: expected one of amd64")])
def test_a_folder_that_contradicts_itself_is_refused(
    bench: Bench, arch: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_build(bench.folder / "new", arch=arch)
    assert main(["--home", str(bench.server.config.home), "loader", "add", str(folder)]) == 1
    assert told in capsys.readouterr().err


def test_a_loader_in_force_is_not_pruned(bench: Bench) -> None:
    bench.apply(loaders__arm64=loader())
    assert main(["--home", str(bench.server.config.home), "artifact", "rm", digest(INITRD)]) == 1


def test_what_is_remembered_goes_with_the_node(board: Board) -> None:
    node_id = board.ask().node_id
    main(["--home", str(board.bench.server.config.home), "node", "forget", "--yes", node_id])
    with board.bench.server.database.reading() as connection:
        assert loader_records.tries_of(connection, node_id) == {}
