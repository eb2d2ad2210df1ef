"""Logs and recordings are bounded for each node and in all, and the oldest go first."""

import time
import uuid

import pytest
from sqlalchemy import update

from bootpilot_agent.plan import Plan
from bootpilot_server.store import boot_records, log_retention, pruning
from bootpilot_server.store.keeping import DAY_S, Keep
from bootpilot_server.store.log_retention import MAX_NODE_BYTES, LogRetention
from bootpilot_server.store.schema import boots
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report, serial

MIB = 1 << 20


def boot_of(bench: Bench, number: int = 1) -> Plan:
    return bench.plan(make_report(evidence=serial(f"1000000000abcd{number:02}")))


def give_log(bench: Bench, plan: Plan, size: int, retention: LogRetention) -> None:
    """As if the boot had sent a log of this size."""
    with bench.server.database.writing() as connection:
        boot = boot_records.find_boot(connection, plan.boot_id)
        assert boot is not None
        boot_records.add_log(connection, boot.id, "agent", boot_records.log_bytes(connection, boot.id, "agent"), b"x" * size)
        retention.trim(connection, boot, size)


def kept(bench: Bench, plans: list[Plan]) -> list[int]:
    with bench.server.database.reading() as connection:
        return [boot_records.log_bytes(connection, plan.boot_id, "agent") // MIB for plan in plans]


def test_a_node_keeps_the_logs_of_its_last_boots(bench: Bench) -> None:
    retention = LogRetention(1 << 40)
    plans = []
    for _ in range(4):
        plans.append(boot_of(bench))
        give_log(bench, plans[-1], MAX_NODE_BYTES // 3, retention)
    assert kept(bench, plans) == [0, 10, 10, 10]
    with bench.server.database.reading() as connection:
        assert boot_records.find_boot(connection, plans[0].boot_id) is not None


def test_one_boot_that_is_larger_than_all_room_stays_and_the_others_go(bench: Bench) -> None:
    retention = LogRetention(1 << 40)
    first, last = boot_of(bench), boot_of(bench)
    give_log(bench, last, MIB, retention)
    give_log(bench, first, MAX_NODE_BYTES, retention)
    assert kept(bench, [first, last]) == [MAX_NODE_BYTES // MIB, 1]
    give_log(bench, last, MIB, retention)
    assert kept(bench, [first, last]) == [0, 2]


def test_of_all_nodes_together_the_oldest_boots_lose_their_logs(bench: Bench) -> None:
    retention = LogRetention(8 * MIB)
    plans = [boot_of(bench, number) for number in range(4)]
    for plan in plans:
        give_log(bench, plan, 3 * MIB, retention)
    assert sum(kept(bench, plans)) <= 12
    give_log(bench, plans[3], 5 * MIB, retention)
    assert kept(bench, plans) == [0, 0, 0, 8]


def test_all_is_added_up_at_the_start_and_then_only_now_and_then(bench: Bench) -> None:
    plans = [boot_of(bench, number) for number in range(3)]
    for plan in plans[:2]:
        give_log(bench, plan, 8 * MIB, LogRetention(1 << 40))
    give_log(bench, plans[2], 1, LogRetention(16 * MIB))
    assert kept(bench, plans) == [0, 8, 0]
    retention = LogRetention(16 * MIB)
    give_log(bench, plans[0], 8 * MIB - 1, retention)
    part = 16 * MIB // log_retention.RECKON_PART
    give_log(bench, plans[2], part - 1, retention)
    assert kept(bench, plans[1:]) == [8, 0]
    give_log(bench, plans[2], 1, retention)
    assert sum(kept(bench, plans)) < 16


def test_a_log_and_a_recording_that_come_over_the_wire_are_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_retention, "MAX_NODE_BYTES", 3 * MIB)
    first = boot_of(bench)
    assert bench.send(first, "log?offset=0", b"x" * (2 * MIB)).status_code == 200
    second = boot_of(bench)
    headers = {"Authorization": f"Bearer {second.token}"}
    assert bench.client.put(f"/v1/boots/{second.boot_id}/recording", data=b"x" * MIB, headers=headers).status_code == 200
    assert kept(bench, [first]) == [2]
    assert bench.send(second, "log?offset=0", b"x" * MIB).status_code == 200
    assert kept(bench, [first, second]) == [0, 1]


def test_logs_of_the_last_installs_outlive_whatever_a_node_sends_later(bench: Bench) -> None:
    retention = LogRetention(1 << 40, installs_per_node=2)
    installs = [boot_of(bench) for _ in range(3)]
    for plan in installs:
        give_log(bench, plan, MIB, retention)
        was_to_install(bench, plan)
    later = [boot_of(bench) for _ in range(60)]
    for plan in later[-2:]:
        give_log(bench, plan, MAX_NODE_BYTES, retention)
    assert kept(bench, [*installs, *later[-2:]]) == [0, 1, 1, 0, MAX_NODE_BYTES // MIB]


def test_where_all_nodes_together_have_sent_too_much_installs_go_last(bench: Bench) -> None:
    first, second = boot_of(bench), boot_of(bench)
    give_log(bench, first, 2 * MIB, LogRetention(1 << 40))
    give_log(bench, second, 2 * MIB, LogRetention(1 << 40))
    was_to_install(bench, first)
    third = boot_of(bench)
    give_log(bench, third, MIB, LogRetention(4 * MIB))
    assert kept(bench, [first, second, third]) == [2, 0, 1]
    give_log(bench, third, 4 * MIB, LogRetention(4 * MIB))
    assert kept(bench, [first, second, third]) == [2, 0, 5]


def test_pruning_by_age_leaves_the_last_installs_whole(bench: Bench) -> None:
    install, other, last = boot_of(bench), boot_of(bench), boot_of(bench)
    for plan in (install, other):
        give_log(bench, plan, MIB, LogRetention(1 << 40))
        bench.send_event(plan, "started")
    was_to_install(bench, install)
    found = pruning.prune(bench.server.database, Keep(boots_days=1), time.time() + 100 * DAY_S)
    assert (found.boots, found.events, found.logs) == ((other.boot_id,), (), ())
    assert kept(bench, [install, last]) == [1, 0]


def was_to_install(bench: Bench, plan: Plan) -> None:
    with bench.server.database.writing() as connection:
        connection.execute(update(boots).where(boots.c.id == plan.boot_id).values(installs=str(uuid.uuid4())))
