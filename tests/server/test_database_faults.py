"""A database that is locked, full, gone or another one: 503 with Retry-After, until it is there again."""

import concurrent.futures
import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import requests

from bootpilot_agent.plan import Report
from bootpilot_server.store.database import Database
from bootpilot_server.store.dialect import copy_database
from tests.fakes.bench import Bench
from tests.fakes.reports import again, make_report, serial
from tests.fakes.server_process import RunningServer, ask, running_server

TIMEOUT_S = 60
# A file system of 3 MB for the server's folder, made by a plain user in a mount namespace: room for its tables and some boards.
SMALL_DISK = """
mount -t tmpfs -o size=3m none "$0" && cp -a "$1/." "$0/" && shift && exec "$@"
"""


def is_busy(response: requests.Response) -> bool:
    return (response.status_code, response.headers.get("Retry-After")) == (503, "5")


def rows_of(database: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute(query).fetchall()


def boards(database: Path) -> set[object]:
    return {serial for (serial,) in rows_of(database, "SELECT serial FROM nodes")}


def test_another_program_that_holds_the_lock_delays_nothing_but_writing(home: Path) -> None:
    with running_server(home) as server:
        with closing(sqlite3.connect(home / "state.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert is_busy(ask(server))
            assert requests.get(server.url, timeout=TIMEOUT_S).status_code == 200
            other.execute("ROLLBACK")
        assert ask(server).json()["action"] == "boot"


def test_a_database_that_was_moved_away_and_comes_back_goes_on(home: Path) -> None:
    database, away = home / "state.sqlite", home / "away.sqlite"
    with running_server(home, "--workers", "2") as server:
        first = ask(server).json()
        database.rename(away)
        for _ in range(4):
            assert is_busy(ask(server, make_report(evidence=serial("1000000000000001"))))
        assert is_busy(requests.get(server.url, timeout=TIMEOUT_S))
        assert requests.get(f"{server.url}/v1/", timeout=TIMEOUT_S).status_code == 200
        away.rename(database)
        for _ in range(4):
            assert ask(server).json()["node_id"] == first["node_id"]
    assert len(boards(database)) == 1


def test_a_copy_from_a_week_ago_in_its_place_is_used_without_a_restart(home: Path) -> None:
    database, copy = home / "state.sqlite", home / "copy.sqlite"
    early, late = make_report(evidence=serial("1000000000000001")), make_report(evidence=serial("1000000000000002"))
    with running_server(home, "--workers", "2") as server:
        known = ask(server, early).json()
        copy_database(database, copy)
        lost = ask(server, late).json()
        # As a hurried person does it: the journal of the former one stays behind, full of what the copy does not have.
        copy.replace(database)
        path = f"{server.url}/v1/boots/{lost['boot_id']}/events"
        headers = {"Authorization": f"Bearer {lost['token']}"}
        event = {"source": "agent", "seq": 1, "name": "fetched", "at_ms": 1}
        for _ in range(4):
            sent = requests.post(path, json={"version": 1, "events": [event]}, headers=headers, timeout=TIMEOUT_S)
            assert sent.status_code == 401
        assert ask(server, early).json()["node_id"] == known["node_id"]
        # The board that the copy has never heard of goes on under its boot_id and with its token, and is a new node.
        assert ask(server, again(late), lost["token"]).json()["action"] == "boot"
        for number in range(3, 20):
            assert ask(server, make_report(evidence=serial(f"10000000000000{number:02}"))).status_code == 200
        assert "it goes on with the one that is there now" in server.output.read_text()
    assert len(boards(database)) == 19


def test_a_worker_that_has_just_begun_goes_on_with_what_was_put_in_its_place(home: Path) -> None:
    """One that gave up instead would take the whole server down: gunicorn ends where a worker does not begin."""
    path, copy = home / "state.sqlite", home / "copy.sqlite"
    with running_server(home) as server:
        assert ask(server).status_code == 200
        copy_database(path, copy)
    begun = Database(path)
    copy.replace(path)
    begun.identify()
    begun.close()
    assert len(boards(path)) == 1


def test_the_database_of_another_server_is_never_written_to(home: Path, open_bench: Bench) -> None:
    other = open_bench.server.config.home / "other.sqlite"
    copy_database(open_bench.server.config.database, other)
    with running_server(home) as server:
        assert ask(server).status_code == 200
        (home / "state.sqlite").rename(home / "away.sqlite")
        shutil.copy(other, home / "state.sqlite")
        assert is_busy(ask(server))
        assert "database of another server" in server.output.read_text()
        (home / "state.sqlite").unlink()
        (home / "away.sqlite").rename(home / "state.sqlite")
        assert ask(server).status_code == 200
    assert boards(other) == set()


def test_something_else_in_its_place_is_a_503_until_it_is_there_again(home: Path) -> None:
    database = home / "state.sqlite"
    with running_server(home) as server:
        assert ask(server).status_code == 200
        database.rename(home / "away.sqlite")
        database.write_bytes(b"this is not a database " * 100)
        assert is_busy(ask(server))
        database.unlink()
        database.mkdir()
        assert is_busy(ask(server))
        database.rmdir()
        (home / "away.sqlite").rename(database)
        assert ask(server).status_code == 200


def test_what_any_of_many_boards_was_answered_before_a_power_cut_is_known_after_it(home: Path) -> None:
    reports = [make_report(evidence=serial(f"10000000{number:08}")) for number in range(2000)]
    answered: list[tuple[Report, bytes]] = []

    def ask_until_the_end(mine: list[Report]) -> None:
        with contextlib.suppress(requests.RequestException):
            for report in mine:
                response = ask(server, report)
                assert response.status_code == 200
                answered.append((report, response.content))

    with running_server(home, "--workers", "2") as server, concurrent.futures.ThreadPoolExecutor(16) as pool:
        asking = [pool.submit(ask_until_the_end, reports[number::16]) for number in range(16)]
        deadline = time.monotonic() + TIMEOUT_S
        while len(answered) < 100 and time.monotonic() < deadline:
            time.sleep(0.01)
        server.kill()
        assert [future.result() for future in asking] == [None] * 16
    assert 100 <= len(answered) < len(reports)
    with running_server(home) as server:
        assert [ask(server, report).content == content for report, content in answered] == [True] * len(answered)


@contextmanager
def server_on_small_disk(home: Path, tmp_path: Path) -> Iterator[tuple[RunningServer, Path]]:
    """The server, and its folder as it sees it."""
    mounted = tmp_path / "small"
    mounted.mkdir()
    within = ["unshare", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK, str(mounted), str(home)]
    with running_server(mounted, within=within) as server:
        yield server, Path(f"/proc/{server.process.pid}/root{mounted}")


def fill(path: Path) -> None:
    """Until nothing more goes onto its disk."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_a_503_and_what_was_answered_is_kept(home: Path, bench: Bench, tmp_path: Path) -> None:
    bench.server.database.close()
    with server_on_small_disk(home, tmp_path) as (server, folder):
        first = make_report(evidence=serial("1000000000000001"))
        before = ask(server, first)
        fill(folder / "filler")
        answers: list[requests.Response] = []
        deadline = time.monotonic() + TIMEOUT_S
        while not answers or answers[-1].status_code == 200:
            # A journal has room that is used anew; sooner or later it must grow.
            assert time.monotonic() < deadline
            answers.append(ask(server, make_report(evidence=serial(f"20000000{len(answers):08}"))))
        assert is_busy(answers[-1])
        assert requests.get(server.url, timeout=TIMEOUT_S).status_code == 200
        (folder / "filler").unlink()
        assert ask(server, first).content == before.content
        assert ask(server, make_report(evidence=serial("3000000000000001"))).status_code == 200
        shutil.copytree(folder, tmp_path / "seen")
    kept = boards(tmp_path / "seen" / "state.sqlite")
    assert kept == {"1000000000000001", "3000000000000001", *(f"20000000{number:08}" for number in range(len(answers) - 1))}
