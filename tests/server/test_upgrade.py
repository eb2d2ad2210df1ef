"""Databases of older programs are brought up to date, of newer ones refused; a copy of what was there comes first."""

import concurrent.futures
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from bootpilot_server.config import Config
from bootpilot_server.errors import HomeError
from bootpilot_server.store import boot_records, node_records, upgrade
from bootpilot_server.store.database import open_database
from bootpilot_server.store.schema import REVISION, metadata
from tests.fakes.bench import make_bench
from tests.fakes.reports import SERIAL, make_report

DATA = Path(__file__).parents[1] / "data/server"
NODE = "INSERT INTO nodes VALUES ('node', 1, 1, 0, '', 2, '10.0.0.7', ?, 'Radxa', ?, 'boot', 2)"
BOOT = """
INSERT INTO boots (id, node_id, first_nonce, started_at, planned_at, agent_version, build_id, plan, why, rule, profile, expects,
    revision, event_rank, event, event_data, failed_at, failure)
VALUES ('boot', 'node', '0', 1, 1, '0.1', 'old', '{"wait": {}}', '["why"]', 'lab', 'p', 'none', 1, -1, '', '{}', 5, 'it failed')
"""


def old_database(home: Path, version: int) -> Path:
    """A database as a program of that schema version left it, with one node and its boot."""
    home.mkdir()
    with closing(sqlite3.connect(home / "state.sqlite")) as connection:
        connection.executescript((DATA / f"schema-{version}.sql").read_text())
        report = json.dumps({key: value for key, value in make_report().to_json().items() if key != "loader_builds"})
        connection.execute(NODE, (report, SERIAL))
        connection.execute(BOOT)
        connection.commit()
    return home / "state.sqlite"


@pytest.mark.parametrize("version", [1, 2])
def test_a_database_of_an_older_program_is_brought_up_to_date_and_keeps_its_nodes(tmp_path: Path, version: int) -> None:
    path = old_database(tmp_path / "home", version)
    open_database(tmp_path / "fresh.sqlite", create=True).close()
    database = open_database(path, create=False)
    with database.reading() as connected:
        (kept,) = node_records.list_nodes(connected, limit=10)
        (old,) = boot_records.list_boots(connected, kept.id)
    database.close()
    assert (kept.read_report().loader_builds, kept.failures) == ((), 2)
    assert (old.failure, old.loader, old.read_loader_builds()) == ("it failed", "", ())
    assert shape_of(path) == shape_of(tmp_path / "fresh.sqlite")
    for bench in make_bench(tmp_path, Config(tmp_path / "home")):
        bench.apply()
        assert bench.plan().boot is not None


def shape_of(path: Path) -> dict[str, object]:
    """Every table's columns (name, type, whether it must be there, place in the key), what it refers to, its indexes."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        shape: dict[str, object] = {
            table: (
                sorted((row[1], row[2], row[3], row[5]) for row in connection.execute(f"PRAGMA table_info({table})")),
                sorted(row[2:7] for row in connection.execute(f"PRAGMA foreign_key_list({table})")),
            )
            for table in tables
        }
        found = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        for name, table in connection.execute(found).fetchall():
            columns = [row[2] for row in connection.execute(f"PRAGMA index_info({name})")]
            shape[f"index {name}"] = (table, columns, connection.execute("PRAGMA user_version").fetchone())
        return shape


def test_the_newest_revision_is_the_one_that_the_tables_say() -> None:
    script = ScriptDirectory(str(upgrade.MIGRATIONS))
    assert script.get_heads() == [REVISION]
    assert set(upgrade.BEFORE_ALEMBIC.values()) < {revision.revision for revision in script.walk_revisions()}


def test_what_was_there_before_is_kept_beside_it(tmp_path: Path) -> None:
    path = old_database(tmp_path / "home", 1)
    open_database(path, create=False).close()
    (copy,) = path.parent.glob("state-first-*.sqlite")
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT id FROM nodes").fetchall() == [("node",)]


def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_source: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    path = old_database(tmp_path / "home", 2)
    before = shape_of(path)
    monkeypatch.setattr(upgrade, "copy_database", no_room)
    with pytest.raises(HomeError, match=r"no copy could be made before the change .* No space left"):
        open_database(path, create=False)
    assert shape_of(path) == before


def test_a_database_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    open_database(path, create=True).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")
        connection.commit()
    before = shape_of(path)
    with pytest.raises(HomeError, match=f"was made by a newer program: its revision is 'later', this program's '{REVISION}'"):
        open_database(path, create=True)
    assert shape_of(path) == before
    assert [left.name for left in tmp_path.glob("state-*.sqlite")] == []


def test_a_program_from_before_alembic_sees_that_this_database_is_too_new_for_it(tmp_path: Path) -> None:
    open_database(tmp_path / "state.sqlite", create=True).close()
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] > 2


def test_many_servers_that_start_at_once_upgrade_it_once(tmp_path: Path) -> None:
    path = old_database(tmp_path / "home", 1)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for database in pool.map(lambda _: open_database(path, create=False), range(8)):
            database.close()
    assert len(list(path.parent.glob("state-first-*.sqlite"))) == 1


def test_all_tables_can_be_made_by_another_kind_of_database() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    assert len(made) == len(metadata.tables)
    assert any("BYTEA" in text for text in made)
