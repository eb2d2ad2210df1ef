"""A server's folder in one file, made while boards are answered, and back; nothing that was there is lost."""

import concurrent.futures
import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.fakes.bench import Bench
from tests.fakes.reports import again, make_report, serial
from tests.fakes.server_process import ask, bootpilot, running_server
from tests.fakes.site import KERNEL, digest

TIMEOUT_S = 60


def serials(home: Path) -> set[str]:
    done = bootpilot(home, "--json", "node", "list")
    assert done.returncode == 0, done.stderr
    return {node["serial"] for node in json.loads(done.stdout)}


def test_a_backup_of_a_running_server_becomes_a_server_elsewhere(home: Path, tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "boot.tar", tmp_path / "elsewhere"
    (home / "server.toml").write_text("max_waiting_nodes = 7\n")
    report = make_report()
    with running_server(home) as server:
        plan = ask(server, report).json()
        done = bootpilot(home, "backup", str(file), "--with-artifacts", "--with-key")
        assert done.returncode == 0, done.stderr
        assert "in it: state.sqlite with 1 nodes and revision 1, server.toml, secret.key, 2 artifacts" in done.stdout
        assert "not in it: nothing" in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    done = bootpilot(elsewhere, "restore", str(file))
    assert (done.returncode, done.stdout) == (0, f"{elsewhere}: restored from {file}\n"), done.stderr
    shutil.rmtree(home)
    with running_server(elsewhere) as server:
        # The board goes on with the token that it has: key and boot are the same.
        assert ask(server, again(report), plan["token"]).json()["node_id"] == plan["node_id"]
        assert requests.get(f"{server.url}/artifacts/sha256/{digest(KERNEL)}", timeout=TIMEOUT_S).content == KERNEL


def test_an_ordinary_backup_says_what_is_not_in_it_and_restore_what_to_do(home: Path, tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "boot.tar", tmp_path / "elsewhere"
    done = bootpilot(home, "backup", str(file))
    assert "not in it: server.toml (there is none), secret.key (without it, boots under way begin anew" in done.stdout
    assert "2 artifacts" in done.stdout.splitlines()[2]
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["manifest.json", "state.sqlite"]
    key = (home / "secret.key").read_bytes().strip()
    assert key not in file.read_bytes()
    done = bootpilot(elsewhere, "restore", str(file))
    assert done.returncode == 0
    assert "no secret.key: the server makes one" in done.stdout
    assert f"missing, and named by the revision in force: artifact {digest(KERNEL)}" in done.stdout
    assert sorted(path.name for path in elsewhere.iterdir()) == ["state.sqlite"]


def test_a_backup_in_the_midst_of_writing_is_whole(home: Path, tmp_path: Path) -> None:
    reports = [make_report(evidence=serial(f"10000000{number:08}")) for number in range(60)]
    with running_server(home, "--workers", "2") as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, server, report) for report in reports]
        done = [bootpilot(home, "backup", str(tmp_path / f"{number}.tar")) for number in range(2)]
        assert {answer.result().status_code for answer in answers} == {200}
    assert [each.returncode for each in done] == [0, 0], done
    for number in range(2):
        assert bootpilot(tmp_path / str(number), "restore", str(tmp_path / f"{number}.tar")).returncode == 0
        with closing(sqlite3.connect(tmp_path / str(number) / "state.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_database_from_a_week_ago_takes_its_place_under_a_running_server(home: Path, tmp_path: Path) -> None:
    file, early, late = tmp_path / "boot.tar", make_report(), make_report(evidence=serial("1000000000000002"))
    with running_server(home, "--workers", "2") as server:
        known = ask(server, early).json()
        assert bootpilot(home, "backup", str(file)).returncode == 0
        lost = ask(server, late).json()
        refused = bootpilot(home, "restore", str(file))
        assert (refused.returncode, "a server answers boards from it" in refused.stderr) == (3, True)
        done = bootpilot(home, "restore", str(file), "--force")
        assert done.returncode == 0, done.stderr
        for _ in range(4):
            assert ask(server, early).json()["node_id"] == known["node_id"]
        # The board that the backup has never heard of goes on under its boot_id, and is a new node.
        assert ask(server, again(late), lost["token"]).json()["action"] == "boot"
    (aside,) = home.glob("replaced-*")
    assert serials(home) == {early.evidence[0].value, "1000000000000002"}
    with closing(sqlite3.connect(aside / "state.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM nodes").fetchone() == (2,)


def test_a_folder_that_holds_a_server_is_not_written_over_unasked(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "boot.tar"
    assert bootpilot(home, "backup", str(file)).returncode == 0
    before = (home / "state.sqlite").read_bytes()
    done = bootpilot(home, "restore", str(file))
    assert (done.returncode, "--force keeps that aside" in done.stderr) == (3, True)
    assert (home / "state.sqlite").read_bytes() == before
    assert bootpilot(home, "backup", str(file)).returncode == 1
    assert bootpilot(home, "backup", str(file), "--force").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def inodes(folder: Path) -> dict[str, int]:
    """All that is there, but for journals, which come and go."""
    return {path.name: path.stat().st_ino for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.write_bytes(b"no tar file at all" * 100), "is it a whole backup"),
        (lambda file: file.write_bytes(file.read_bytes()[:20_000]), "is it a whole backup"),
        (lambda file: file.write_bytes(file.read_bytes().replace(b"CREATE TABLE nodes", b"CREATE ELBAT nodes")), "hint"),
        (lambda file: file.unlink(), "No such file"),
    ],
)
def test_a_damaged_backup_changes_nothing(home: Path, tmp_path: Path, damage: object, words: str) -> None:
    file = tmp_path / "boot.tar"
    assert bootpilot(home, "backup", str(file)).returncode == 0
    assert callable(damage)
    damage(file)
    before = inodes(home)
    done = bootpilot(home, "restore", str(file), "--force")
    assert done.returncode in (1, 3)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert inodes(home) == before


def test_a_damaged_artifact_in_a_backup_is_refused(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "boot.tar"
    assert bootpilot(home, "backup", str(file), "--with-artifacts").returncode == 0
    file.write_bytes(file.read_bytes().replace(b"the kernel" * 10, b"the KERNEL" * 10))
    done = bootpilot(tmp_path / "elsewhere", "restore", str(file))
    assert (done.returncode, "is damaged in the backup" in done.stderr) == (1, True)
    assert not (tmp_path / "elsewhere" / "state.sqlite").exists()


def test_an_archive_cannot_write_anywhere_else(home: Path, tmp_path: Path) -> None:
    file, evil = tmp_path / "boot.tar", tmp_path / "evil.tar"
    assert bootpilot(home, "backup", str(file)).returncode == 0
    with tarfile.open(file) as source, tarfile.open(evil, "w") as target:
        for member in source:
            target.addfile(member, source.extractfile(member))
        links = (("secret.key", tarfile.SYMTYPE), ("artifacts/link", tarfile.SYMTYPE))
        for name, kind in (("../outside", tarfile.REGTYPE), *links):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            target.addfile(member)
    done = bootpilot(tmp_path / "elsewhere", "restore", str(evil))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["state.sqlite"]
    assert not (tmp_path / "outside").exists()


def test_the_copy_that_an_upgrade_left_can_be_restored(tmp_path: Path) -> None:
    old = tmp_path / "state-loaders-20261101T000000Z.sqlite"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript((Path(__file__).parents[1] / "data/server/schema-2.sql").read_text())
    done = bootpilot(tmp_path / "home", "restore", str(old))
    assert done.returncode == 0, done.stderr
    assert bootpilot(tmp_path / "home", "node", "list").returncode == 0


def test_prune_shows_first_and_deletes_when_told(home: Path, bench: Bench) -> None:
    bench.plan()
    bench.plan()
    with bench.server.database.writing() as connection:
        connection.exec_driver_sql("UPDATE boots SET planned_at = 1, started_at = 1")
    shown = bootpilot(home, "prune")
    assert shown.stdout.splitlines()[1].split() == ["1", "boots", "with", "all", "that", "belongs", "to", "them"], shown.stderr
    assert "--yes removes them" in shown.stdout
    assert json.loads(bootpilot(home, "--json", "prune", "--yes").stdout)["boots"] == 1
    assert bootpilot(home, "prune").stdout == "nothing happened so long ago\n"
