"""Writers share commits: nobody goes on before the commit, and each fails alone."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from bootpilot_server.errors import DatabaseUnavailableError
from bootpilot_server.store import group_commit
from bootpilot_server.store.database import Database, open_database
from bootpilot_server.store.schema import about

WRITERS = 20
WAIT_S = 60.0


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """One whose groups are ended by their size or by nobody waiting, not by a slow machine's clock."""
    monkeypatch.setattr(group_commit, "MAX_S", float("inf"))
    database = open_database(tmp_path / "state.sqlite", create=True)
    yield database
    database.close()


def write(database: Database, key: str, then: Callable[[], None] = lambda: None) -> None:
    with database.writing() as connection:
        connection.execute(about.insert().values(key=key, value=""))
        then()


def kept(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.execute(select(about.c.key)).scalars()) - {"server_id"}


def write_together(database: Database, pool: ThreadPoolExecutor, then: Callable[[int], None]) -> list[Future[None]]:
    """WRITERS bodies that all wait while the first is at work, so that one group could take them all."""
    is_first_at_work, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        is_first_at_work.set()
        assert may_end.wait(WAIT_S)
        then(0)

    futures = [pool.submit(write, database, "0", hold)]
    assert is_first_at_work.wait(WAIT_S)
    futures += [pool.submit(write, database, str(number), partial(then, number)) for number in range(1, WRITERS)]
    deadline = time.monotonic() + WAIT_S
    while len(database._opened.writer._turn._waiting) < WRITERS - 1:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    may_end.set()
    return futures


def test_all_that_wait_share_one_commit(database: Database) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        futures = write_together(database, pool, lambda _: None)
    assert [future.result() for future in futures] == [None] * WRITERS
    assert database.commits == 1
    assert kept(database) == {str(number) for number in range(WRITERS)}


def test_a_group_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_MEMBERS", 4)
    with ThreadPoolExecutor(WRITERS) as pool:
        write_together(database, pool, lambda _: None)
    assert database.commits == WRITERS // 4
    monkeypatch.setattr(group_commit, "MAX_S", 0.0)
    monkeypatch.setattr(group_commit, "MAX_MEMBERS", 64)
    with database.writing() as connection:
        connection.execute(about.delete().where(about.c.key != "server_id"))
    with ThreadPoolExecutor(WRITERS) as pool:
        write_together(database, pool, lambda _: None)
    assert database.commits == WRITERS // 4 + 1 + WRITERS


def test_nobody_goes_on_before_the_commit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    with ThreadPoolExecutor(WRITERS) as pool:
        futures: list[Future[None]] = []

        def look() -> None:
            seen.append(sum(future.done() for future in futures))
            seen.append(len(kept(database)))

        monkeypatch.setattr(database._opened.writer, "_before_commit", look)
        futures += write_together(database, pool, lambda _: None)
    assert seen == [0, 0]


def test_a_body_that_fails_undoes_its_own_part_only(database: Database) -> None:
    def fail_at_odd(number: int) -> None:
        if number % 2:
            raise ZeroDivisionError

    with ThreadPoolExecutor(WRITERS) as pool:
        futures = write_together(database, pool, fail_at_odd)
    assert [type(future.exception()) for future in futures] == [type(None), ZeroDivisionError] * (WRITERS // 2)
    assert kept(database) == {str(number) for number in range(0, WRITERS, 2)}
    assert database.commits == 1


def test_a_commit_that_fails_fails_all_and_the_next_one_works(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DatabaseUnavailableError("the disk is on fire")

    with monkeypatch.context() as patch, ThreadPoolExecutor(WRITERS) as pool:
        patch.setattr(database._opened.writer, "_before_commit", fail)
        futures = write_together(database, pool, lambda _: None)
    errors = [future.exception() for future in futures]
    assert {type(error) for error in errors} == {DatabaseUnavailableError}
    assert all("the disk is on fire" in str(error) for error in errors)
    assert kept(database) == set()
    write(database, "later")
    assert kept(database) == {"later"}


def test_a_transaction_that_the_database_itself_gave_up_fails_all_of_its_group(database: Database) -> None:
    begun: list[int] = []  # in the order in which the threads came to wait

    def roll_back(number: int) -> None:
        begun.append(number)
        if number == 7:
            group = database._opened.writer._group
            assert group is not None
            driver = group.connection.connection.dbapi_connection
            assert driver is not None
            # As SQLite does it by itself when the disk is full.
            driver.rollback()
            group.connection.exec_driver_sql("SELECT * FROM nowhere")

    with ThreadPoolExecutor(WRITERS) as pool:
        futures = write_together(database, pool, roll_back)
    failed = [number for number, future in enumerate(futures) if isinstance(future.exception(), DatabaseUnavailableError)]
    assert set(begun[: begun.index(7) + 1]) <= set(failed)
    assert kept(database).isdisjoint(str(number) for number in failed)
    assert kept(database) == {str(number) for number in range(WRITERS)} - {str(number) for number in failed}
    write(database, "later")


def test_a_writer_that_waits_too_long_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    open_database(tmp_path / "state.sqlite", create=True).close()
    database = Database(tmp_path / "state.sqlite", busy_timeout_s=0.1)
    with ThreadPoolExecutor(1) as pool, database.writing():
        late = pool.submit(write, database, "late").exception()
    assert "another writer holds" in str(late)
    write(database, "in time")
    assert kept(database) == {"in time"}
    database.close()


def test_a_process_that_writes_without_a_break_shuts_no_other_out(tmp_path: Path) -> None:
    open_database(tmp_path / "state.sqlite", create=True).close()
    # Two of these are to each other what two processes are.
    busy, other = Database(tmp_path / "state.sqlite"), Database(tmp_path / "state.sqlite", busy_timeout_s=2.0)
    is_over = threading.Event()

    def write_on(name: str) -> int:
        count = 0
        while not is_over.is_set():
            write(busy, f"{name}-{count}")
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(write_on, str(number)) for number in range(8)]
        try:
            for number in range(50):
                write(other, f"other-{number}")
        finally:
            is_over.set()
    assert len(kept(other)) == 50 + sum(future.result() for future in futures)
    busy.close()
    other.close()


def test_the_count_is_right_after_any_mixture_of_writers(database: Database) -> None:
    def count_up(number: int) -> None:
        with database.writing() as connection:
            value = connection.execute(select(about.c.value).where(about.c.key == "count")).scalar_one()
            connection.execute(about.update().where(about.c.key == "count").values(value=str(int(value) + 1)))
            if number % 3 == 0:
                raise ZeroDivisionError

    with database.writing() as connection:
        connection.execute(about.insert().values(key="count", value="0"))
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(count_up, number) for number in range(300)]
    assert sum(future.exception() is None for future in futures) == 200
    with database.reading() as connection:
        assert connection.execute(select(about.c.value).where(about.c.key == "count")).scalar_one() == "200"
