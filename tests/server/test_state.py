"""The server's folder: its database, its key, its settings, and what happens when they are not as they should be."""

import concurrent.futures
import io
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.asking.secret_key import load_secret_key
from bootpilot_server.config import Config
from bootpilot_server.errors import DatabaseUnavailableError, HomeError, OperatorError
from bootpilot_server.server import default_home, read_config
from bootpilot_server.store.database import Database, open_database
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report
from tests.fakes.site import digest, profile


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    key = load_secret_key(path, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(key) == 64
    assert load_secret_key(path, None) == key
    assert [left.name for left in tmp_path.iterdir()] == ["secret.key"]


def test_many_servers_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: load_secret_key(tmp_path / "secret.key", None), range(64)))
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("content", "mode", "words"), [("ab" * 32, 0o644, "lets others read"), ("short", 0o600, "5 bytes, expected")]
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: str, mode: int, words: str) -> None:
    path = tmp_path / "shared.key"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(HomeError, match=words):
        load_secret_key(tmp_path / "secret.key", path)
    with pytest.raises(HomeError, match="No such file"):
        load_secret_key(tmp_path / "secret.key", tmp_path / "absent")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"this is not a database " * 100)
    with pytest.raises(HomeError, match="not a database"):
        open_database(path, create=True)


def test_a_database_that_is_not_there_is_made_only_by_those_who_may(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="there is no boot server's database"):
        open_database(tmp_path / "home" / "state.sqlite", create=False)
    assert not (tmp_path / "home").exists()
    open_database(tmp_path / "home" / "state.sqlite", create=True).close()
    assert stat.S_IMODE((tmp_path / "home" / "state.sqlite").stat().st_mode) == 0o600


def test_a_reader_cannot_write(bench: Bench) -> None:
    with pytest.raises(DatabaseUnavailableError, match="readonly"), bench.server.database.reading() as connection:
        connection.exec_driver_sql("DELETE FROM nodes")


def test_a_transaction_that_fails_leaves_nothing_behind(bench: Bench) -> None:
    def fail_half_way() -> None:
        with bench.server.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO artifacts VALUES ('x', 'y', 0)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with bench.server.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM artifacts").scalar_one() == 0


def test_a_locked_database_is_a_503_that_says_when_to_come_back(bench: Bench) -> None:
    other = Database(bench.server.config.database, busy_timeout_s=0.1)
    bench.client.application.extensions["bootpilot"] = replace(bench.server, database=other)
    with bench.server.database.writing():
        response = bench.ask(make_report())
        assert (response.status_code, response.mimetype) == (503, "application/problem+json")
        assert response.headers["Retry-After"] == "5"
        assert bench.client.get("/").status_code == 200
    assert bench.ask(make_report()).status_code == 200
    other.close()


def test_a_database_that_is_gone_is_a_503_and_artifacts_are_still_served(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    bench.server.config.database.unlink()
    for response in (bench.ask(make_report()), bench.client.get("/"), bench.send_event(plan, "planned")):
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert plan.boot is not None
    assert bench.client.get(plan.boot.kernel.urls[0]).status_code == 200
    assert not bench.server.config.database.exists()


def test_a_folder_that_cannot_take_a_plans_files_is_a_503(bench: Bench) -> None:
    bench.apply(profiles__ram_page=profile('\n[[file]]\npath = "/a"\ncontent = "b"\n'))
    folder = bench.server.config.artifacts
    # In place of the new artifact stands a folder, which no file can replace: as root, no permission would stop it.
    (folder / digest(b"b")).mkdir()
    assert bench.ask(make_report()).status_code == 503
    (folder / digest(b"b")).rmdir()
    assert bench.plan().boot is not None


def test_settings_are_read_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    text = 'mirrors = ["http://cache.example/"]\nallow_simulated = true\nmax_waiting_nodes = 5\n'
    config = Config.from_toml(tmp_path, text)
    assert (config.mirrors, config.allow_simulated, config.max_waiting_nodes) == (("http://cache.example",), True, 5)
    for wrong, words in (
        ("mirrors = 'http://x'", "mirrors: expected a list"),
        ("mirrors = ['ftp://x']", "an http or https URL"),
        ("mirrors = ['/x']", "an absolute URL"),
        ("allow_simulated = 1", "allow_simulated: expected true or false"),
        ("max_waiting_nodes = -1", "max_waiting_nodes: expected"),
        ("max_logs_mib = 1.5", "max_logs_mib: expected"),
        ("max_admitted_nodes = true", "max_admitted_nodes: expected"),
        ("mirror = []", "unknown key mirror"),
        ("= 1", "server.toml: Invalid"),
    ):
        with pytest.raises(OperatorError, match=words):
            Config.from_toml(tmp_path, wrong)


def test_the_folder_is_named_by_the_environment_or_stands_at_the_users_data(tmp_path: Path) -> None:
    assert default_home({"BOOTPILOT_HOME": "/srv/boot"}) == Path("/srv/boot")
    assert default_home({"XDG_DATA_HOME": "/data"}) == Path("/data/bootpilot")
    assert read_config(tmp_path) == Config(tmp_path)


def test_a_new_artifact_and_a_new_key_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        # A folder counts from when the new name is in it.
        synced.append((path.name, path.is_dir() and any(not name.name.startswith(".") for name in path.iterdir())))

    monkeypatch.setattr(os, "fsync", fsync)
    ArtifactStore(tmp_path / "sha256").add(io.BytesIO(b"kernel"))
    assert synced.pop() == ("sha256", True)
    home = tmp_path / "home"
    home.mkdir()
    load_secret_key(home / "secret.key", None)
    assert synced.pop() == ("home", True)
