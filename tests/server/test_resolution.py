"""Operators say who is who, and the very next report of the board lands where they said."""

from typing import Any

import pytest
from sqlalchemy import select

from bootpilot_agent.evidence import Evidence, EvidenceKind
from bootpilot_agent.plan import Action
from bootpilot_server import cli
from bootpilot_server.asking.merging import tables_of_nodes
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.deciding.remedies import remedies
from bootpilot_server.store import evidence_records, node_records, schema
from tests.fakes.bench import Bench
from tests.fakes.installing_boards import Board, World
from tests.fakes.installs import INSTALLER, install_rule
from tests.fakes.reports import again, make_report, piece

KIND = EvidenceKind
WAITS = 'priority = 1\nprofile = "ram-page"\n'


def board(*pieces: tuple[EvidenceKind, str]) -> tuple[Evidence, ...]:
    return tuple(piece(kind, value) for kind, value in pieces)


def run(bench: Bench, *words: str) -> int:
    return cli.main(["--home", str(bench.server.config.home), *words])


def nodes(bench: Bench) -> dict[str, NodeRecord]:
    with bench.server.database.reading() as connection:
        return {node.id: node for node in node_records.list_nodes(connection, limit=100)}


def history(bench: Bench, node_id: str) -> str:
    with bench.server.database.reading() as connection:
        return "\n".join(str(entry.text) for entry in node_records.list_history(connection, node_id))


def lands(bench: Bench, evidence: tuple[Evidence, ...], **changes: Any) -> str:
    return bench.plan(make_report(evidence=evidence, **changes)).node_id


def two_boards(bench: Bench) -> tuple[str, str, tuple[Evidence, ...]]:
    """Two known boards, approved by name, and what a third one shows: the serial of one and the SoC of the other."""
    bench.apply(rules__lab=WAITS)
    first = lands(bench, board((KIND.DT_SERIAL, "1000000a"), (KIND.SOC_SERIAL, "soc0a1")))
    second = lands(bench, board((KIND.DT_SERIAL, "1000000b"), (KIND.SOC_SERIAL, "soc0b1")))
    assert run(bench, "approve", first, second) == 0
    return first, second, board((KIND.DT_SERIAL, "1000000a"), (KIND.SOC_SERIAL, "soc0b1"))


def test_a_contradiction_is_resolved_by_merging_its_record_into_the_node_that_it_is(bench: Bench) -> None:
    first, second, crossed = two_boards(bench)
    waiting = bench.plan(report := make_report(evidence=crossed))
    assert waiting.wait is not None
    assert waiting.wait.reason == "conflict"
    assert set(nodes(bench)[waiting.node_id].read_conflict_with()) == {first, second}
    assert run(bench, "node", "merge", first, waiting.node_id, "--yes") == 0
    assert waiting.node_id not in nodes(bench)
    landed = bench.plan(again(report), waiting.token)
    assert (landed.node_id, landed.action) == (first, Action.BOOT)
    assert "loses soc-serial=soc0b1" in history(bench, second) or "soc-serial=soc0b1 is node" in history(bench, second)
    assert lands(bench, board((KIND.DT_SERIAL, "1000000b"))) == second


def test_a_repaired_board_takes_over_the_name_labels_and_approval_of_the_former_one(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    old = lands(bench, board((KIND.DT_SERIAL, "1000000a"), (KIND.MAC, "00:48:54:20:33:01")))
    assert run(bench, "approve", old) == 0
    assert run(bench, "node", "rename", old, "rack7-03") == 0
    assert run(bench, "node", "label", old, "rack=r7") == 0
    repaired = board((KIND.DT_SERIAL, "1000000c"), (KIND.MAC, "00:48:54:20:33:0c"))
    new = bench.plan(report := make_report(evidence=repaired))
    assert run(bench, "node", "replace", "rack7-03", "--with", new.node_id, "--yes") == 0
    landed = bench.plan(again(report), new.token)
    assert (landed.node_id, landed.action) == (old, Action.BOOT)
    assert lands(bench, repaired) == old
    record = nodes(bench)[old]
    assert (record.name, record.read_labels(), record.serial) == ("rack7-03", {"rack": "r7"}, "1000000c")
    with bench.server.database.reading() as connection:
        former = {row.value for row in evidence_records.list_former(connection, old)}
    assert former == {"1000000a", "00:48:54:20:33:01"}
    back = lands(bench, board((KIND.DT_SERIAL, "1000000a"), (KIND.MAC, "00:48:54:20:33:01")))
    assert back != old
    assert nodes(bench)[back].approved_at is None
    assert run(bench, "node", "replace", old, "--with", back, "--yes") == 0
    assert lands(bench, board((KIND.DT_SERIAL, "1000000a"))) == old


def test_a_new_card_in_a_board_that_shows_nothing_else(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    old = lands(bench, board((KIND.CARD_CID, "03534453443332478012345678015a00")))
    fresh = board((KIND.CARD_CID, "03534453443332478087654321015a00"))
    new = lands(bench, fresh)
    assert new != old
    assert run(bench, "node", "replace", old, "--with", new, "--yes") == 0
    assert lands(bench, fresh) == old


def test_two_boards_in_one_record_are_split_by_what_only_one_of_them_shows(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    one, other = board((KIND.MAC, "00:48:54:20:33:01")), board((KIND.MAC, "00:48:54:20:33:02"))
    node = lands(bench, one)
    assert run(bench, "node", "merge", node, lands(bench, other), "--yes") == 0
    assert run(bench, "approve", node) == 0
    assert (lands(bench, one), lands(bench, other)) == (node, node)
    assert run(bench, "node", "split", node, "--evidence", "mac=00:48:54:20:33:02", "--yes") == 0
    apart = lands(bench, other)
    assert apart != node
    assert lands(bench, one) == node
    assert nodes(bench)[apart].approved_at is None
    assert run(bench, "node", "merge", node, apart, "--yes") == 0
    assert (lands(bench, one), lands(bench, other)) == (node, node)


def test_one_board_that_shows_both_pieces_is_not_split(bench: Bench) -> None:
    node = lands(bench, board((KIND.MAC, "00:48:54:20:33:01"), (KIND.MAC, "00:48:54:20:33:02")))
    assert run(bench, "node", "split", node, "--evidence", "mac=00:48:54:20:33:02", "--yes") == 1
    assert run(bench, "node", "split", node, "--evidence", "mac=00:48:54:20:33:09", "--yes") == 1
    assert list(nodes(bench)) == [node]


def test_a_value_that_two_boards_share_is_declared_to_name_nobody(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    uuid = (KIND.DMI_UUID, "03020100-0504-0706-0809-0a0b0c0d0e0f")
    one, other = board(uuid, (KIND.MAC, "00:48:54:20:33:01")), board(uuid, (KIND.MAC, "00:48:54:20:33:02"))
    node = lands(bench, one)
    assert lands(bench, other) == node
    split = ("node", "split", node, "--evidence", "mac=00:48:54:20:33:02", "--yes")
    assert run(bench, *split) == 1
    assert lands(bench, other) == node
    assert run(bench, *split, "--shared", f"dmi-uuid={uuid[1]}") == 0
    assert lands(bench, one) == node
    assert lands(bench, other) not in (node, lands(bench, board(uuid, (KIND.MAC, "00:48:54:20:33:03"))))


def test_a_dry_run_and_an_answer_that_is_missing_change_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, _ = two_boards(bench)
    before = nodes(bench)
    assert run(bench, "node", "merge", first, second, "--dry-run") == 0
    assert f"record {second} ends in {first}" in (told := capsys.readouterr().out)
    assert f"bootpilot node split {first} --evidence" in told
    assert run(bench, "node", "merge", first, second) == 1
    assert "--yes" in capsys.readouterr().err
    assert nodes(bench) == before


def test_a_merged_id_goes_on_meaning_the_node_and_its_boots_keep_their_tokens(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    first = lands(bench, board((KIND.MAC, "00:48:54:20:33:01")))
    running = bench.plan(make_report(evidence=board((KIND.MAC, "00:48:54:20:33:02"))))
    assert run(bench, "node", "merge", first, running.node_id, "--yes") == 0
    assert bench.send_event(running, "payload-up", source="payload").status_code == 200
    with bench.server.database.reading() as connection:
        assert [node.id for node in node_records.search_nodes(connection, running.node_id)] == [first]
    assert run(bench, "node", "merge", first, first) == 1


def test_a_contradiction_goes_when_what_it_stood_between_goes(bench: Bench) -> None:
    first, second, crossed = two_boards(bench)
    record = lands(bench, crossed)
    commands = [command for command, _ in remedies(nodes(bench)[record])]
    assert f"bootpilot node merge {first} {record}" in commands
    assert run(bench, "node", "forget", second, "--yes") == 0
    assert record in nodes(bench)
    assert run(bench, "node", "forget", first, "--yes") == 0
    assert record not in nodes(bench)


def test_simulated_and_real_boards_are_never_merged(open_bench: Bench) -> None:
    real, simulated = lands(open_bench, board((KIND.MAC, "00:48:54:20:33:01"))), open_bench.plan(make_report(simulated=True))
    assert run(open_bench, "node", "merge", real, simulated.node_id, "--yes") == 1


def test_a_contradiction_is_not_approved_and_not_a_node_to_merge_into(bench: Bench) -> None:
    first, _, crossed = two_boards(bench)
    record = lands(bench, crossed)
    assert run(bench, "approve", record) == 1
    assert run(bench, "node", "merge", record, first, "--yes") == 1


def test_every_table_that_names_a_node_is_dealt_with_when_two_records_become_one() -> None:
    naming = {table for table in schema.metadata.tables.values() if "node_id" in table.c}
    assert naming == tables_of_nodes()


def test_evidence_keeps_when_it_came_and_when_it_left(bench: Bench) -> None:
    bench.apply()
    serial, mac = (KIND.DT_SERIAL, "1000000a"), (KIND.MAC, "00:48:54:20:33:01")
    first = bench.plan(make_report(evidence=board(serial, mac)))
    second = bench.plan(make_report(evidence=board(serial)))
    with bench.server.database.reading() as connection:
        rows = {row.value: row for row in evidence_records.list_spans(connection, first.node_id)}
        assert connection.execute(select(schema.evidence_history)).all() == []
    assert (rows["1000000a"].first_boot, rows["1000000a"].last_boot) == (first.boot_id, second.boot_id)
    assert (rows["1000000a"].left_at, rows[mac[1]].last_boot) == (None, first.boot_id)
    assert rows[mac[1]].left_at is not None
    assert f"no longer shows mac {mac[1]}" in history(bench, first.node_id)
    bench.plan(make_report(evidence=board(serial, mac)))
    with bench.server.database.reading() as connection:
        assert {row.left_at for row in evidence_records.list_spans(connection, first.node_id)} == {None}


def test_an_adapter_that_was_given_away_names_its_new_owner(bench: Bench) -> None:
    bench.apply()
    mac_a, mac_b, dongle = [(KIND.MAC, f"00:48:54:20:33:0{number}") for number in range(1, 4)]
    first, second = lands(bench, board(mac_a, dongle)), lands(bench, board(mac_b))
    assert lands(bench, board(mac_a)) == first
    assert lands(bench, board(mac_b, dongle)) == second
    assert lands(bench, board(mac_a)) == first


def test_a_flood_of_made_up_boards_with_a_known_boards_address_does_not_take_its_place(bench: Bench) -> None:
    bench.apply(rules__lab=WAITS)
    mac = (KIND.MAC, "00:48:54:20:33:01")
    known = lands(bench, board(mac))
    assert run(bench, "approve", known) == 0
    for number in range(100):
        bench.ask(make_report(evidence=board((KIND.DT_SERIAL, f"1000{number:04}ab"), mac)))
    assert bench.plan(make_report(evidence=board(mac))).node_id == known


def test_a_board_known_by_no_serial_number_is_flagged_wherever_it_is_shown(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.apply()
    node = lands(bench, board((KIND.MAC, "00:48:54:20:33:01")))
    for words in (("node", "list"), ("node", "show", node), ("explain", node)):
        assert run(bench, *words) == 0
        assert "medium" in capsys.readouterr().out
    for path in ("/", f"/nodes/{node}"):
        assert "medium evidence" in bench.client.get(path).text


@pytest.mark.parametrize("keeps_the_installed", [True, False])
@pytest.mark.parametrize("both", [True, False])
def test_what_a_key_installed_under_either_record_is_not_installed_again_when_they_are_one(
    bench: Bench, keeps_the_installed: bool, both: bool
) -> None:
    bench.apply(profiles__lamp=INSTALLER, rules__lab=install_rule("v1"))
    world = World(bench.server)
    installed, other = Board(world, 1), Board(world, 2)
    ids = []
    for one in (installed, other):
        one.power_on()
        waiting = one.ask()
        assert waiting is not None
        ids.append(waiting.node_id)
        assert run(bench, "approve", waiting.node_id) == 0
    installed.power_on()
    plan = installed.ask()
    assert plan is not None
    assert plan.writes_disk
    installed.begin_install()
    installed.say_done()
    if both:
        # The other record was offered its own install of this key, and it is still wanted.
        other.power_on()
        offered = other.ask()
        assert offered is not None
        assert offered.install_id != plan.install_id
    kept, gone = ids if keeps_the_installed else ids[::-1]
    assert run(bench, "node", "merge", kept, gone, "--yes") == 0
    # With no mark on its disk, so that only the records can tell.
    for board_of_today in (installed, other):
        board_of_today.mark = None
        board_of_today.power_on()
        now = board_of_today.ask()
        assert now is not None
        assert (now.node_id, now.action) == (kept, Action.LOCAL)


def test_a_replaced_board_that_installed_itself_is_not_installed_again_under_the_kept_record(bench: Bench) -> None:
    bench.apply(profiles__lamp=INSTALLER, rules__lab=install_rule("v1"))
    world = World(bench.server)
    old, new = Board(world, 1), Board(world, 2)
    ids = []
    for one in (old, new):
        one.power_on()
        waiting = one.ask()
        assert waiting is not None
        ids.append(waiting.node_id)
        assert run(bench, "approve", waiting.node_id) == 0
    new.power_on()
    assert new.ask()
    new.begin_install()
    new.say_done()
    assert run(bench, "node", "replace", ids[0], "--with", ids[1], "--yes") == 0
    new.power_on()
    now = new.ask()
    assert now is not None
    assert (now.node_id, now.action) == (ids[0], Action.LOCAL)
    # Another key, and only that, installs anew.
    bench.apply(profiles__lamp=INSTALLER, rules__lab=install_rule("v2"))
    new.power_on()
    later = new.ask()
    assert later is not None
    assert later.writes_disk
