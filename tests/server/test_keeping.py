"""What happened is kept for so long and so much of it: found first, then deleted in pieces, by the server itself too."""

import concurrent.futures
import json
import re
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from bootpilot_server.config import Config
from bootpilot_server.errors import OperatorError
from bootpilot_server.serving.upkeep import take_turn
from bootpilot_server.store import boot_records, pruning, schema
from bootpilot_server.store.intake import PART, Intake
from bootpilot_server.store.keeping import DAY_S, Keep
from bootpilot_server.store.refusals import note_refusal
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report
from tests.fakes.server_process import running_server

NOW = 1_800_000_000.0
ALL = Keep(0, 0, 0, 0, 0, 0, 0, 0, 0)


def boot_at(bench: Bench, days_ago: float) -> str:
    """A boot of the one board with an event and a log, as if it had been so long ago."""
    plan = bench.plan()
    assert bench.send_event(plan, "planned").status_code == 200
    assert bench.send(plan, "log?source=agent&offset=0", b"hello\n").status_code == 200
    at = NOW - days_ago * DAY_S
    with bench.server.database.writing() as connection:
        own = schema.boots.c.id == plan.boot_id
        connection.execute(update(schema.boots).where(own).values(planned_at=at, started_at=at))
        connection.execute(update(schema.questions).where(schema.questions.c.boot_id == plan.boot_id).values(asked_at=at))
        connection.execute(update(schema.history).where(schema.history.c.boot_id == plan.boot_id).values(at=at))
    return plan.boot_id


def pruned(bench: Bench, keep: Keep) -> pruning.Prunable:
    """What was found, after it was deleted; a second look finds nothing."""
    with bench.server.database.reading() as connection:
        found = pruning.find_prunable(connection, keep, NOW)
    assert pruning.prune(bench.server.database, keep, NOW) == found
    with bench.server.database.reading() as connection:
        assert set(pruning.find_prunable(connection, keep, NOW).counts().values()) == {0}
    return found


def left(bench: Bench, table: str) -> set[str]:
    with bench.server.database.reading() as connection:
        column = schema.metadata.tables[table].c["id" if table == "boots" else "boot_id"]
        return set(connection.execute(select(column)).scalars())


def test_without_bounds_everything_is_kept(bench: Bench) -> None:
    bench.apply()
    boots = {boot_at(bench, 5000), boot_at(bench, 0)}
    assert set(pruned(bench, ALL).counts().values()) == {0}
    assert left(bench, "boots") == boots


def test_boots_go_by_age_and_the_last_one_of_a_node_stays(bench: Bench) -> None:
    bench.apply()
    oldest, older, last = boot_at(bench, 300), boot_at(bench, 91), boot_at(bench, 90.5)
    assert pruned(bench, Keep()).boots == (oldest, older)
    assert left(bench, "boots") == left(bench, "log_chunks") | {last} == {last}


def test_boots_go_by_their_number(bench: Bench) -> None:
    bench.apply()
    boots = [boot_at(bench, 10 - number) for number in range(6)]
    assert pruned(bench, Keep(boots_per_node=4)).boots == tuple(boots[:2])
    assert left(bench, "boots") == set(boots[2:])


@pytest.mark.parametrize("number", [1, 450])
def test_logs_events_questions_history_and_refusals_go_by_their_own_age(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 20)
    bench.apply()
    old, last = boot_at(bench, 60), boot_at(bench, 0)
    for count in range(number):
        note_refusal(bench.server.database, "10.0.0.9", f"wrong {count}", NOW - 31 * DAY_S - count)
    found = pruned(bench, Keep(events_days=50, history_days=40))
    assert (found.boots, found.events, found.logs) == ((), (old,), (old,))
    assert (found.questions, found.refusals) == (1, min(number, 100))
    assert found.history >= 1
    assert left(bench, "boots") == {old, last}
    assert left(bench, "events") == left(bench, "log_chunks") == left(bench, "questions") == {last}


def test_events_of_the_oldest_boots_go_when_all_together_are_too_large(bench: Bench) -> None:
    bench.apply()
    boots = [boot_at(bench, 3 - number) for number in range(3)]
    with bench.server.database.writing() as connection:
        connection.execute(update(schema.events).values(data=json.dumps({"x": "y" * (700 << 10)})))
    assert pruned(bench, Keep(events_mib=2)).events == (boots[0],)
    assert left(bench, "events") == set(boots[1:])


def test_the_events_of_one_boot_are_bounded_in_number_and_in_size(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.apply()
    plan = bench.plan()
    monkeypatch.setattr(boot_records, "MAX_EVENT_BYTES", 100_000)
    stored = [bench.send_event(plan, "fetching", seq, x="y" * 30_000).get_json()["stored"] for seq in range(6)]
    assert stored == [1, 1, 1, 0, 0, 0]
    monkeypatch.setattr(boot_records, "MAX_EVENTS", 5)
    assert [bench.send_event(plan, "fetching", seq).get_json()["stored"] for seq in range(10, 14)] == [1, 1, 0, 0]


def test_a_log_that_comes_in_tiny_pieces_takes_few_rows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.apply()
    plan = bench.plan()
    monkeypatch.setattr(boot_records, "LOG_PIECE_BYTES", 100)
    text = b"".join(b"line %d\n" % number for number in range(100))
    for offset in range(0, len(text), 5):
        assert bench.send(plan, f"log?source=agent&offset={offset}", text[offset : offset + 5]).status_code == 200
    with bench.server.database.reading() as connection:
        rows = connection.execute(select(func.count()).select_from(schema.log_chunks)).scalar_one()
        assert rows == -(-len(text) // 100)
        assert boot_records.read_log(connection, plan.boot_id, "agent") == text
        for size in (1, 99, 100, 101, 5000):
            assert boot_records.read_log_tail(connection, plan.boot_id, "agent", size) == text[-size:]


def test_one_process_of_many_prunes_in_each_interval(bench: Bench) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: take_turn(bench.server.database, NOW, 60.0), range(16))) == 1
    assert not take_turn(bench.server.database, NOW + 59, 60.0)
    assert take_turn(bench.server.database, NOW + 60, 60.0)
    # The clock was wrong, and was set back by a year.
    assert take_turn(bench.server.database, NOW - 365 * DAY_S, 60.0)


def test_much_that_comes_in_is_looked_at_before_the_interval_is_over() -> None:
    intake = Intake(PART * 100)
    intake.add(99)
    assert not intake.wait_until_much(0.0)
    intake.add(1)
    assert intake.wait_until_much(0.0)
    assert not intake.wait_until_much(0.0)
    unbounded = Intake(0)
    unbounded.add(1 << 40)
    assert not unbounded.wait_until_much(0.0)


def test_a_running_server_prunes_by_itself(bench: Bench) -> None:
    bench.apply()
    old, last = boot_at(bench, 0), boot_at(bench, 0)
    with bench.server.database.writing() as connection:
        connection.execute(update(schema.boots).values(planned_at=1.0, started_at=1.0))
    hurried = "from bootpilot_server.serving import upkeep\nupkeep.LOOK_S = 0.05"
    with running_server(bench.server.config.home, settings=hurried) as server:
        deadline = time.monotonic() + 60
        while old in left(bench, "boots"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        said = server.output.read_text()
    assert left(bench, "boots") == {last}
    assert len(re.findall("pruned: ", said)) <= 1


def test_what_is_kept_is_set_in_the_servers_settings(tmp_path: Path) -> None:
    assert Config.from_toml(tmp_path, "[keep]\nlogs_days = 3").keep == Keep(logs_days=3)
    for wrong, words in (
        ("keep = 3", "keep: expected a table"),
        ("[keep]\nlogs = 3", "unknown key keep.logs"),
        ("[keep]\nlogs_days = -1", "keep.logs_days: expected a number"),
        ("[keep]\nlogs_days = true", "keep.logs_days: expected a number"),
        ("[keep]\nlogs_days = 1.5", "keep.logs_days: expected a number"),
    ):
        with pytest.raises(OperatorError, match=words):
            Config.from_toml(tmp_path, wrong)


def test_a_revision_that_has_the_number_of_one_before_a_restore_is_read_anew(bench: Bench) -> None:
    bench.apply()
    assert bench.plan().boot is not None
    with bench.server.database.writing() as connection:
        texts = {"rules/none.toml": ""}
        connection.execute(update(schema.revisions).values(applied_at=5.0, texts=json.dumps(texts)))
    wait = bench.plan(make_report())
    assert wait.boot is None
