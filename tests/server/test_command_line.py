"""The command `bootpilot` as a person or a script types it: answers, JSON, exit status, hints."""

import gzip
import json
import os
import pty
import pwd
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.evidence import EvidenceKind
from bootpilot_server.cli import main, make_parser
from bootpilot_server.commands.terminal import columns
from tests.fakes.bench import Bench
from tests.fakes.reports import SERIAL, make_report, piece, serial
from tests.fakes.server_process import ENVIRONMENT, ROOT, bootpilot
from tests.fakes.site import INITRD, KERNEL, RULE, digest, write_site

Output = pytest.CaptureFixture[str]


def run(home: Path, *arguments: str) -> int:
    return main(["--home", str(home), *arguments])


def run_json(home: Path, capsys: Output, *arguments: str) -> Any:
    run(home, *arguments, "--json")
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def home(bench: Bench) -> Path:
    """The folder of a server with the demo's site in force and one board on record."""
    bench.apply()
    bench.plan()
    return bench.server.config.home


def test_artifact_add_prints_lines_that_a_profile_takes(tmp_path: Path, capsys: Output) -> None:
    for name, content in (
        ("vmlinuz", KERNEL),
        ("initrd.gz", gzip.compress(INITRD)),
        ('od"d\nname', b"\xd0\x0d\xfe\xed"),
        ("raw", INITRD),
    ):
        (tmp_path / name).write_bytes(content)
    added = [
        run_json(tmp_path / "home", capsys, "artifact", "add", str(path))
        for path in sorted(tmp_path.iterdir())
        if path.is_file()
    ]
    by_role = {(item["role"], item["unpacked_size"]): tomllib.loads(item["toml"]) for item in added}
    assert by_role["kernel", 0] == {"kernel": {"sha256": digest(KERNEL), "size": len(KERNEL), "name": "vmlinuz"}}
    assert by_role["initrd", len(INITRD)]["initrd"][0]["unpacked_size"] == len(INITRD)
    assert by_role["dtb", 0]["dtb"]["name"] == 'od"d\nname'
    assert by_role["initrd", 0]["initrd"][0]["sha256"] == digest(INITRD)


def test_artifact_list_shows_and_verifies_what_is_stored(home: Path, capsys: Output) -> None:
    assert run(home, "artifact", "list", "--verify") == 0
    assert digest(KERNEL) in capsys.readouterr().out
    path = home / "artifacts" / "sha256" / digest(KERNEL)
    path.chmod(0o644)
    path.write_bytes(KERNEL[:-1] + b"!")
    assert run(home, "artifact", "list", "--verify") == 1
    told = capsys.readouterr()
    assert "BROKEN" in told.out
    assert "hint: add the files again" in told.err


def test_check_and_apply_answer_with_findings_and_exit_status(tmp_path: Path, home: Path, capsys: Output) -> None:
    site = write_site(tmp_path / "other")
    assert run(home, "check", str(site)) == 0
    assert capsys.readouterr().out == "1 profiles, 1 rules: good\n"
    (site / "rules" / "bad.toml").write_text(RULE.replace("priority = 10", "priority = 1.5"))
    for command in ("check", "apply"):
        assert run(home, command, str(site)) == 1
        assert capsys.readouterr().out.startswith("rules/bad.toml:1: priority: expected a whole number")
    told = run_json(home, capsys, "apply", str(site))
    assert (told["applied"], told["revision"], told["findings"][0]["line"]) == (False, 1, 1)


def test_check_needs_no_server_folder_yet(tmp_path: Path, capsys: Output) -> None:
    assert run(tmp_path / "nowhere", "check", str(write_site(tmp_path / "site"))) == 1
    assert "bootpilot artifact add FILE" in capsys.readouterr().out
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["10000000abcdef01", "10000000ABCDEF01"])
def test_a_node_is_found_by_its_serial_number(home: Path, capsys: Output, name: str) -> None:
    told = run_json(home, capsys, "explain", name)
    assert (told["action"], told["rule"], told["profile"], told["revision"]) == ("boot", "lab", "ram-page", 1)
    assert told["why"] == ["profile ram-page by rule lab (priority 10)"]
    assert not {"token", "nonce"} & told["plan"].keys()


def test_a_node_is_found_by_the_beginning_of_its_id(home: Path, capsys: Output) -> None:
    node_id = run_json(home, capsys, "node", "list")[0]["node_id"]
    assert run(home, "node", "show", node_id[:8]) == 0
    assert f"node_id: {node_id}" in capsys.readouterr().out


def test_an_unknown_or_ambiguous_node_is_a_no_with_a_hint(bench: Bench, home: Path, capsys: Output) -> None:
    assert run(home, "explain", "no-such-board") == 1
    assert "hint: `bootpilot node list`" in capsys.readouterr().err
    shared = piece(EvidenceKind.MAC, "00:48:54:20:33:01")
    for number in ("10000000abcdef02", "10000000abcdef03"):
        bench.plan(make_report(evidence=(*serial(number), shared)))
    assert run(home, "explain", shared.value) == 1
    assert "2 nodes are known as" in capsys.readouterr().err


def test_approving_a_node_gives_it_what_its_rule_says(bench: Bench, capsys: Output) -> None:
    bench.apply(rules__lab=RULE.replace("admit = true", "admit = false"))
    home = bench.server.config.home
    node_id = bench.plan().node_id
    assert run_json(home, capsys, "explain", node_id)["plan"]["wait"]["reason"] == "not-approved"
    assert run(home, "node", "approve", node_id) == 0
    assert bench.plan().boot is not None
    capsys.readouterr()
    assert run_json(home, capsys, "node", "list")[0]["approved"] is True


def test_a_node_is_forgotten_only_when_that_is_confirmed(bench: Bench, home: Path, capsys: Output) -> None:
    node_id = bench.plan().node_id
    assert bootpilot(home, "node", "forget", node_id).returncode == 1
    assert run(home, "node", "forget", "--yes", node_id, "nobody") == 1
    assert "--yes says that it is meant" in bootpilot(home, "node", "forget", node_id).stderr
    assert [node["node_id"] for node in run_json(home, capsys, "node", "list")] == [node_id]
    assert run_json(home, capsys, "node", "forget", "--yes", SERIAL) == {"forgotten": [node_id]}
    assert run_json(home, capsys, "node", "list") == []


@pytest.mark.parametrize(("typed", "is_kept"), [(b"n\n", True), (b"\n", True), (b"y\n", False), (b"Yes\n", False)])
def test_at_a_terminal_the_word_of_the_person_counts(home: Path, capsys: Output, typed: bytes, is_kept: bool) -> None:
    master, slave = pty.openpty()
    argv = [sys.executable, "-m", "bootpilot_server", "--home", str(home), "node", "forget", SERIAL]
    os.write(master, typed)
    try:
        asked = subprocess.run(argv, env=ENVIRONMENT, stdin=slave, capture_output=True, text=True, timeout=120)
    finally:
        os.close(master)
        os.close(slave)
    assert "Radxa ROCK 5B  10000000abcdef01\nforget this" in asked.stderr
    assert (asked.returncode, len(run_json(home, capsys, "node", "list"))) == (int(is_kept), int(is_kept))


def test_the_list_says_what_the_status_page_says(bench: Bench, home: Path, capsys: Output) -> None:
    plan = bench.plan()
    bench.send_event(plan, "failed", stage="verify", message="sha256 differs")
    (told,) = run_json(home, capsys, "node", "list")
    assert (told["state"], told["text"], told["failures"]) == ("failed", "verify: sha256 differs", 1)
    shown = run_json(home, capsys, "node", "show", told["node_id"])
    assert shown["events"][0]["name"] == "failed"
    assert "nonce" not in shown["report"]


@pytest.mark.parametrize("arguments", [["node", "list"], ["explain", "x"], ["artifact", "list"]])
def test_a_folder_that_is_not_there_is_exit_status_3_and_is_not_made(
    tmp_path: Path, capsys: Output, arguments: list[str]
) -> None:
    assert run(tmp_path / "typo", *arguments) == 3
    assert "hint: --home or BOOTPILOT_HOME" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("listen", ["8080", "localhost", "::1:80", "host:99999", "[::1]:x"])
def test_an_address_that_is_none_is_refused_with_an_example(tmp_path: Path, capsys: Output, listen: str) -> None:
    assert run(tmp_path / "home", "serve", "--listen", listen) == 1
    assert "for example" in capsys.readouterr().err


def test_errors_are_json_for_programs(tmp_path: Path, capsys: Output) -> None:
    assert run(tmp_path / "typo", "node", "list", "--json") == 3
    assert set(json.loads(capsys.readouterr().err)) == {"error", "hint"}


def test_home_and_json_are_understood_before_and_after_the_command(tmp_path: Path) -> None:
    parser = make_parser()
    for argv in (["--home", "h", "--json", "node", "list"], ["node", "list", "--home", "h", "--json"]):
        arguments = parser.parse_args(argv)
        assert (arguments.home, arguments.json, arguments.command) == (Path("h"), True, "node_commands:node_list")


def test_help_explains_with_examples() -> None:
    done = bootpilot(Path("/nonexistent"), "--help")
    assert done.returncode == 0
    assert "bootpilot apply site/" in done.stdout
    assert bootpilot(Path("/nonexistent"), "frobnicate").returncode == 2


def test_a_table_of_what_boards_say_keeps_one_line_for_each() -> None:
    assert columns(("A", "B"), [["x\ny\x1b[2J", "\u202e"]]).count("\n") == 1


def test_half_a_character_from_a_board_is_shown_and_breaks_nothing(bench: Bench, capsys: Output) -> None:
    bench.send_event(bench.plan(), "failed", message="\ud800 broke")
    shown = run_json(bench.server.config.home, capsys, "node", "show", SERIAL)
    assert shown["events"][0]["data"]["message"] == "? broke"


@pytest.mark.parametrize("length", [0, 1, 3])
def test_too_short_a_beginning_names_no_node_not_even_the_only_one(bench: Bench, capsys: Output, length: int) -> None:
    plan = bench.plan()
    assert run(bench.server.config.home, "node", "approve", plan.node_id[:length]) == 1
    assert "no node is known as" in capsys.readouterr().err


def test_a_port_file_that_cannot_be_written_is_named_with_a_hint(home: Path, tmp_path: Path) -> None:
    asked = bootpilot(home, "serve", "--listen", "127.0.0.1:0", "--port-file", str(tmp_path / "none" / "port"))
    assert asked.returncode == 1
    assert "--port-file" in asked.stderr
    assert "hint: its folder must exist" in asked.stderr
    assert "Traceback" not in asked.stderr


@pytest.mark.parametrize("count", ["x", "0", "9999", "-1", "1.5", ""])
def test_a_number_of_workers_that_is_none_is_refused_in_words(count: str, capsys: Output) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["serve", f"--workers={count}"])
    assert "expected a number from 1 to 1024" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "apply"])
def test_the_help_of_check_and_apply_shows_a_folder(command: str, capsys: Output) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args([command, "--help"])
    shown = capsys.readouterr().out
    for word in ("profiles/web.toml", "rules/lab.toml", "[match]", "bootpilot artifact add FILE"):
        assert word in shown


def test_a_user_without_a_home_folder_needs_only_name_one(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    for name in ("BOOTPILOT_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert main(["node", "list"]) == 3
    assert "hint: --home or BOOTPILOT_HOME" in capsys.readouterr().err
    assert main(["--home", "/nonexistent", "node", "list"]) == 3
    assert "no boot server's database" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CACHE_HOME": "/a b"}, "/a b/bootpilot"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/some one"}, "/some one/.cache/bootpilot"),
        ({"HOME": "/some one"}, "/some one/.cache/bootpilot"),
        ({}, f"{pwd.getpwuid(os.getuid()).pw_dir}/.cache/bootpilot"),
    ],
)
def test_the_scripts_find_their_cache_with_and_without_home(environment: dict[str, str], folder: str) -> None:
    text = f"set -euo pipefail; . {ROOT}/scripts/environment.sh; bootpilot_cache"
    told = subprocess.run(["/bin/bash", "-c", text], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == f"{folder}\n"
