"""Boards are let in by name, selector, rule, batch or list; nothing that writes a disk is offered before that."""

import concurrent.futures
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.evidence import Evidence, EvidenceKind, Grade
from bootpilot_agent.plan import Plan, Report
from bootpilot_agent.report import Board, Boot, Build
from bootpilot_agent.report import make_report as agent_report
from bootpilot_server import cli
from bootpilot_server.asking.answer import Question, answer
from bootpilot_server.deciding.approval import BY_NAME, BY_SELECTOR, RULE, writing_objection
from bootpilot_server.deciding.decision import NodeFacts
from bootpilot_server.deciding.end_date import end_of
from bootpilot_server.deciding.identification import known_by
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import node_records
from tests.fakes.bench import Bench
from tests.fakes.reports import again, body_of, make_report, piece, serial
from tests.fakes.site import profile

Output = pytest.CaptureFixture[str]
KIND = EvidenceKind
WAITS = 'priority = 1\nprofile = "ram-page"\n'
FUTURE = 4_000_000_000.0


def run(bench: Bench, *words: str) -> int:
    return cli.main(["--home", str(bench.server.config.home), *words])


def run_json(bench: Bench, capsys: Output, *words: str) -> Any:
    capsys.readouterr()
    run(bench, *words, "--json")
    return json.loads(capsys.readouterr().out)


def nodes(bench: Bench) -> list[NodeRecord]:
    with bench.server.database.reading() as connection:
        return node_records.list_nodes(connection, limit=1000)


def history(bench: Bench, node_id: str) -> list[str]:
    with bench.server.database.reading() as connection:
        return [str(entry.text) for entry in node_records.list_history(connection, node_id)]


def board(number: int, **changes: Any) -> Report:
    return make_report(evidence=serial(f"10000000abcd{number:04x}"), **changes)


def at(bench: Bench, report: Report, now: float, address: str = "10.0.0.7") -> Plan:
    return Plan.from_json(answer(bench.server, Question(body_of(report), "", address, now)), report.arch)


def why(plan: Plan) -> str:
    return plan.wait.text if plan.wait else ""


def with_config(bench: Bench, **changes: Any) -> None:
    bench.server = replace(bench.server, config=replace(bench.server.config, **changes))
    bench.client.application.extensions["bootpilot"] = bench.server


def write(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "nodes.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def line_of(told: str) -> str:
    """BATCH:secret of what `batch create` printed."""
    return told.split('"')[1]


# ---- approve


def test_approve_takes_nodes_or_a_selector_and_says_who_did_it(bench: Bench, capsys: Output) -> None:
    bench.apply(rules__lab=WAITS)
    ids = [bench.plan(board(number)).node_id for number in range(3)]
    assert run(bench, "approve", ids[0], "--as", "irina") == 0
    assert run_json(bench, capsys, "approve", "--where", "arch = arm64") == {"approved": sorted(ids[1:])}
    assert "approved by name (irina)" in history(bench, ids[0])[0]
    assert [bench.plan(board(number)).boot is not None for number in range(3)] == [True, True, True]
    assert run(bench, "approve") == 2
    assert run(bench, "approve", ids[0], "--where", "arch = arm64") == 2
    assert run(bench, "node", "revoke", ids[0]) == 0
    assert "not approved" in why(bench.plan(board(0)))


def test_more_than_twenty_nodes_are_asked_about_first(bench: Bench, capsys: Output) -> None:
    for number in range(21):
        bench.plan(board(number))
    assert run(bench, "approve", "--where", "arch = arm64") == 1
    assert "--yes says that it is meant" in capsys.readouterr().err
    assert [node for node in nodes(bench) if node.approved_at] == []
    assert run(bench, "approve", "--where", "arch = arm64", "--yes") == 0
    assert "and 1 more" in capsys.readouterr().out


def test_of_two_operators_who_want_one_name_one_gets_it(bench: Bench) -> None:
    ids = [bench.plan(board(number)).node_id for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(lambda node_id: run(bench, "node", "rename", node_id, "rack7-03"), ids))
    assert codes == [0] + [1] * 7
    assert sum(node.name == "rack7-03" for node in nodes(bench)) == 1


def test_two_operators_who_merge_the_same_records_do_it_once(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    one, other = [bench.plan(board(number)).node_id for number in range(2)]
    words = [("node", "merge", one, other, "--yes"), ("node", "merge", other, one, "--yes")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda these: run(bench, *these), words))
    assert 0 in codes
    assert len(nodes(bench)) == 1


# ---- what may write a disk


@pytest.mark.parametrize(
    ("evidence", "way", "may"),
    [
        (serial("10000000abcd0001"), "name", True),
        (serial("10000000abcd0001"), "where", True),
        (serial("10000000abcd0001"), "rule", True),
        ((piece(KIND.MAC, "00:48:54:20:33:01"),), "name", True),
        ((piece(KIND.MAC, "00:48:54:20:33:01"),), "where", False),
        ((piece(KIND.MAC, "00:48:54:20:33:01"),), "rule", False),
        ((piece(KIND.CARD_CID, "03534453443332478012345678015a00"),), "where", False),
        ((piece(KIND.CARD_CID, "03534453443332478012345678015a00"),), "name", True),
        (serial("10000000abcd0001"), "plain rule", False),
    ],
)
def test_who_may_be_given_a_plan_that_writes_a_disk(evidence: tuple[Evidence, ...], way: str, may: bool) -> None:
    report = make_report(evidence=evidence)
    approval = {"name": BY_NAME, "where": BY_SELECTOR, "rule": RULE + "lab", "plain rule": ""}[way]
    facts = NodeFacts("n", report, approved=way != "plain rule", known_by=known_by(evidence), approval=approval)
    assert (writing_objection(facts) == "") is may


def test_approval_of_a_board_with_a_serial_number_does_not_cover_whoever_shows_its_address_alone() -> None:
    weak = NodeFacts("n", make_report(), approved=True, known_by=Grade.MEDIUM, approval=BY_NAME, approved_grade=Grade.STRONG)
    assert "was approved by strong evidence" in writing_objection(weak)


INSTALLER = """\
expects = "installed"
writes_disk = true

[local]
otherwise = "wait"
"""
CAN_INSTALL = ("boot", "wait", "reboot", "poweroff", "dtb:running", "local", "mark", "files")
ADMITS = 'priority = 10\nprofile = "lamp"\ninstall = "one"\nadmit = true\n'


def apply_installer(bench: Bench, limit: str = "", admits: str = ADMITS) -> None:
    plain = profile().replace('expects = "payload-up"\n', "").replace('command_line = "console=ttyAMA0 panic=10"\n', "")
    applied = bench.apply(profiles__lamp=INSTALLER + plain, rules__lab=admits + limit)
    assert applied.is_usable, applied.findings


@pytest.mark.parametrize("evidence", [serial("10000000abcd0001"), (piece(KIND.MAC, "00:48:54:20:33:01"),)])
def test_no_board_is_offered_a_disk_writer_before_it_is_approved(bench: Bench, evidence: tuple[Evidence, ...]) -> None:
    apply_installer(bench)
    waiting = bench.plan(make_report(evidence=evidence, features=CAN_INSTALL))
    assert (waiting.writes_disk, waiting.wait is not None) == (False, True)
    assert "not approved by name" in why(waiting)
    assert run(bench, "approve", waiting.node_id) == 0
    assert bench.plan(make_report(evidence=evidence, features=CAN_INSTALL)).writes_disk


def test_a_counted_rule_and_a_batch_let_boards_with_serial_numbers_install_and_others_not(bench: Bench, capsys: Output) -> None:
    apply_installer(bench, "max_count = 10\n")
    by_mac = (piece(KIND.MAC, "00:48:54:20:33:01"),)
    assert bench.plan(make_report(evidence=serial("10000000abcd0001"), features=CAN_INSTALL)).writes_disk
    assert not bench.plan(make_report(evidence=by_mac, features=CAN_INSTALL)).writes_disk
    apply_installer(bench, admits=ADMITS.replace("admit = true\n", ""))
    secret = line_of(run_json(bench, capsys, "batch", "create", "spring", "--max", "9", "--until", "2099-01-01")["line"])
    assert bench.plan(make_report(evidence=serial("10000000abcd0002"), features=CAN_INSTALL, enrol=secret)).writes_disk
    weak = bench.plan(make_report(evidence=by_mac, features=CAN_INSTALL, enrol=secret))
    assert not weak.writes_disk
    assert "known only by medium evidence, and was not approved by name" in why(weak)
    assert run(bench, "approve", weak.node_id) == 0
    assert bench.plan(make_report(evidence=by_mac, features=CAN_INSTALL)).writes_disk


def test_a_board_that_lost_its_serial_number_writes_nothing_until_it_is_approved_again(bench: Bench) -> None:
    apply_installer(bench, admits=ADMITS.replace("admit = true\n", ""))
    mac = piece(KIND.MAC, "00:48:54:20:33:01")
    node = bench.plan(make_report(evidence=(*serial(), mac), features=CAN_INSTALL)).node_id
    assert run(bench, "approve", node) == 0
    plan = bench.plan(make_report(evidence=(mac,), features=CAN_INSTALL))
    assert (plan.node_id, plan.writes_disk) == (node, False)
    assert bench.plan(make_report(evidence=(*serial(), mac), features=CAN_INSTALL)).writes_disk


# ---- rules with a limit


def test_a_rule_lets_in_as_many_as_it_says_however_many_ask_at_once(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS + "admit = true\nmax_count = 5\n")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        plans = list(pool.map(lambda number: at(bench, board(number), 1000.0 + number), range(40)))
    assert sum(plan.boot is not None for plan in plans) == 5
    assert {why(plan) for plan in plans if plan.wait} == {
        "this board is not approved, and rule lab has admitted 5 boards, as many as its max_count (`bootpilot approve` does)"
    }
    let_in = [node for node in nodes(bench) if node.approved_at]
    assert {(node.approval, len(let_in)) for node in let_in} == {("rule:lab", 5)}
    bench.apply(rules__lab=WAITS)
    assert sum(at(bench, board(number), 2000.0).boot is not None for number in range(40)) == 5


def test_a_rule_lets_in_nobody_after_its_end_date_and_keeps_those_that_it_let_in(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS + "admit = true\nuntil = 2027-03-31\n")
    end = end_of("2027-03-31")
    assert at(bench, board(1), end - 1).boot is not None
    assert "end date" in why(at(bench, board(2), end))
    assert at(bench, board(1), end + 100).boot is not None


def test_limits_of_a_rule_that_admits_nobody_are_a_fault(bench: Bench) -> None:
    applied = bench.apply(rules__lab=WAITS + 'max_count = 5\nuntil = "soon"\n')
    told = "\n".join(map(str, applied.findings))
    assert "max_count: limits whom `admit = true` lets in" in told
    assert "until: expected a date such as 2027-03-31" in told


# ---- batches


def test_a_batchs_secret_lets_its_boards_in_until_it_is_full(bench: Bench, capsys: Output) -> None:
    bench.apply(rules__lab=WAITS)
    line = run_json(bench, capsys, "batch", "create", "spring", "--max", "2", "--until", "2099-01-01", "--profile", "ram-page")
    secret = line_of(line["line"])
    plans = [bench.plan(board(number, enrol=secret)) for number in range(3)]
    assert [plan.boot is not None for plan in plans] == [True, True, False]
    assert "batch spring is full: 2 boards" in history(bench, plans[2].node_id)[1]
    listed = run_json(bench, capsys, "batch", "list")[0]
    assert (listed["admitted"], listed["state"], listed["wrong_secrets"]) == (2, "full", 0)
    assert run(bench, "approve", "--batch", "spring") == 0
    assert bench.plan(board(2)).boot is not None
    assert {node.profile_override for node in nodes(bench)} == {"ram-page", ""}


def test_a_secret_is_neither_stored_nor_shown_again(bench: Bench, capsys: Output) -> None:
    bench.apply(rules__lab=WAITS)
    secret = line_of(run_json(bench, capsys, "batch", "create", "spring", "--max", "9", "--until", "2099-01-01")["line"])
    plan = bench.plan(board(1, enrol=secret))
    bench.plan(board(2, enrol="spring:" + "x" * 30))
    assert bench.client.post("/v1/boot", data=body_of(board(3, enrol=secret + "+"))).status_code == 400
    told = bench.client.get("/").text + bench.client.get(f"/nodes/{plan.node_id}").text
    run(bench, "batch", "list")
    run(bench, "node", "show", plan.node_id, "--json")
    told += capsys.readouterr().out
    bench.server.database.close()
    stored = b"".join(path.read_bytes() for path in bench.server.config.home.glob("state.sqlite*"))
    plain = secret.partition(":")[2]
    assert b"spring" in stored
    assert plain.encode() not in stored
    assert b"x" * 30 not in stored
    assert plain not in told
    assert plain not in repr(board(1, enrol=secret))
    assert run(bench, "batch", "create", "spring", "--max", "9", "--until", "2099-01-01") == 1


def test_a_wrong_secret_is_written_down_once_a_boot_and_guessing_is_not_looked_at(bench: Bench, capsys: Output) -> None:
    bench.apply(rules__lab=WAITS)
    secret = line_of(run_json(bench, capsys, "batch", "create", "spring", "--max", "9", "--until", "2099-01-01")["line"])
    report = board(1, enrol="spring:" + "w" * 30)
    plan = bench.plan(report)
    bench.plan(again(report), plan.token)
    refused = [text for text in history(bench, plan.node_id) if "enrolment refused" in text]
    assert refused == ["enrolment refused: the card's secret is not that of a batch spring"]
    assert bench.plan(board(2, enrol=secret)).boot is not None
    for number in range(10, 22):
        at(bench, board(number, enrol=f"spring:{number:030}"), 1000.0, "10.0.0.66")
    late = at(bench, board(3, enrol=secret), 1001.0, "10.0.0.66")
    assert late.wait is not None
    assert "not looked at" in history(bench, late.node_id)[1]
    assert at(bench, board(4, enrol=secret), 1001.0, "10.0.0.67").boot is not None
    assert at(bench, board(3, enrol=secret), 1002.0 + 600, "10.0.0.66").boot is not None


def test_a_batch_that_is_over_or_closed_lets_nobody_in(bench: Bench, capsys: Output) -> None:
    bench.apply(rules__lab=WAITS)
    secret = line_of(run_json(bench, capsys, "batch", "create", "spring", "--max", "9", "--until", "2099-01-01")["line"])
    assert at(bench, board(1, enrol=secret), FUTURE + 1e9).wait is not None
    assert run(bench, "batch", "close", "spring") == 0
    assert bench.plan(board(2, enrol=secret)).wait is not None
    for wrong in (
        ["--max", "0", "--until", "2099-01-01"],
        ["--max", "1", "--until", "2001-01-01"],
        ["--max", "1", "--until", "x"],
    ):
        assert run(bench, "batch", "create", "other", *wrong) == 2
    assert run(bench, "batch", "create", "other", "--max", "1", "--until", "2099-01-01", "--profile", "none") == 1


def test_the_agent_sends_the_secret_of_its_card() -> None:
    report = make_report()
    build = Build("arm64", "0.1.0", "0123456789abcdef", 0)
    agent = Board(build, report.evidence, report.inventory, simulated=False, enrol="spring:" + "s" * 30)
    assert agent_report(agent, report.lease, Boot(report.boot_id)).enrol == "spring:" + "s" * 30
    assert "s" * 30 not in repr(agent)


# ---- floods


def test_a_flood_of_made_up_boards_shuts_out_nobody_who_is_known_announced_or_enrolled(
    bench: Bench, tmp_path: Path, capsys: Output
) -> None:
    bench.apply(rules__lab=WAITS)
    with_config(bench, max_waiting_nodes=20)
    secret = line_of(run_json(bench, capsys, "batch", "create", "spring", "--max", "9", "--until", "2099-01-01")["line"])
    known, waiting = bench.plan(board(1)).node_id, bench.plan(board(2)).node_id
    assert run(bench, "approve", known) == 0
    assert run(bench, "node", "import", write(tmp_path, "serial\n10000000abcd0003\n")) == 0
    codes = [bench.ask(board(number)).status_code for number in range(100, 200)]
    assert (codes.count(200), codes.count(429)) == (19, 81)
    assert len(nodes(bench)) == 22
    assert (bench.plan(board(1)).node_id, bench.plan(board(2)).node_id) == (known, waiting)
    # More on record than the limit allows, as when somebody lowers it: that is no reason to turn away who is known.
    with_config(bench, max_waiting_nodes=5)
    assert bench.ask(board(200)).status_code == 429
    assert (bench.plan(board(1)).node_id, bench.plan(board(2)).node_id) == (known, waiting)
    assert bench.plan(board(3)).boot is not None
    assert bench.plan(board(4, enrol=secret)).boot is not None


def test_boards_that_were_made_up_make_room_after_two_hours_of_silence(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    with_config(bench, max_waiting_nodes=5)
    for number in range(5):
        at(bench, board(number), 1000.0)
    with bench.server.database.writing() as connection:
        node_records.change_node(connection, nodes(bench)[0].id, name="kept-one")
    assert bench.client.post("/v1/boot", data=body_of(board(9))).status_code == 200
    assert sorted(node.name for node in nodes(bench)) == ["", "kept-one"]


def test_a_profile_of_its_own_is_given_and_taken_by_name_or_selector(bench: Bench, capsys: Output) -> None:
    bench.apply(profiles__other=profile().replace("panic=10", "panic=20"))
    node_id = bench.plan().node_id

    def gets() -> str:
        plan = bench.plan()
        return plan.boot.profile if plan.boot else str(plan.wait and plan.wait.reason)

    assert run(bench, "node", "profile", node_id, "other", "--as", "irina") == 0
    told = capsys.readouterr().out
    assert f"given other: {node_id}" in told
    assert "1 of them not approved: they wait until `bootpilot approve`" in told
    assert gets() == "not-approved"
    assert run(bench, "approve", node_id) == 0
    assert gets() == "other"
    assert run_json(bench, capsys, "node", "profile", node_id, "-") == {"profile": "", "nodes": [node_id], "not_approved": []}
    assert gets() == "ram-page"
    assert run(bench, "node", "profile", "other", "--where", "arch = arm64") == 0
    assert gets() == "other"
    assert "own profile other, before (what rules say) (irina)" in history(bench, node_id)
    capsys.readouterr()
    assert run(bench, "node", "profile", node_id, "othr") == 1
    assert "there is no profile othr in revision 1" in capsys.readouterr().err
    assert run(bench, "node", "profile", "other") == 2
    assert gets() == "other"
