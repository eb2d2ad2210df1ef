"""apply and rollback: what they would change is shown first, nobody is overrun, half a checkout is refused."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.plan import Action
from bootpilot_server.asking.every_node import preview
from bootpilot_server.cli import main
from bootpilot_server.config import Config
from bootpilot_server.errors import OperatorError
from bootpilot_server.site_folder import apply
from bootpilot_server.site_folder.check import check_folder
from bootpilot_server.site_folder.settled import read_settled_folder
from bootpilot_server.store import node_records
from tests.fakes.bench import Bench, make_bench
from tests.fakes.reports import make_report, serial
from tests.fakes.site import RULE, profile, write_site

Output = pytest.CaptureFixture[str]


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Bench]:
    """A server with the demo's site in force and thirty boards that have asked."""
    for bench in make_bench(tmp_path, Config(tmp_path / "home")):
        bench.apply()
        for number in range(30):
            bench.plan(make_report(evidence=serial(f"10000000000000{number:02}"), memory_bytes=(1 + number % 3) << 30))
        yield bench


def run(bench: Bench, *arguments: str) -> int:
    return main(["--home", str(bench.server.config.home), *arguments])


def run_json(bench: Bench, capsys: Output, *arguments: str) -> Any:
    capsys.readouterr()
    assert run(bench, *arguments, "--json") == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def site(bench: Bench, **texts: str) -> str:
    return str(write_site(bench.folder / "site", **texts))


OTHER = 'priority = 20\nprofile = "other"\nadmit = true\n[match]\nmemory_mib = ">= 3000"\n'


def test_what_would_change_is_shown_by_kind_before_anything_does(grid: Bench, capsys: Output) -> None:
    folder = site(grid, rules__big=OTHER, profiles__other=profile())
    told = run_json(grid, capsys, "apply", folder, "--dry-run")
    assert (told["applied"], told["revision"]) == (False, 1)
    preview_ = told["preview"]
    assert (preview_["nodes"], preview_["changed"], preview_["waiting"]) == (30, 10, 0)
    assert [(kind["count"], kind["from"], kind["to"], kind["rule"]) for kind in preview_["changes"]] == [
        (10, "ram-page", "other", "big")
    ]
    assert run(grid, "apply", folder, "--dry-run") == 0
    assert "10 of 30 nodes get another plan at their next boot" in capsys.readouterr().out
    assert run_json(grid, capsys, "revisions")[0]["revision"] == 1


def test_a_profile_of_the_same_name_that_boots_something_else_is_another_plan(grid: Bench, capsys: Output) -> None:
    told = run_json(
        grid, capsys, "apply", site(grid, profiles__ram_page=profile().replace("panic=10", "panic=20")), "--dry-run"
    )
    assert [(kind["count"], kind["to"]) for kind in told["preview"]["changes"]] == [(30, "ram-page (changed)")]


def test_a_template_that_no_profile_of_a_node_uses_changes_nothing(grid: Bench, capsys: Output) -> None:
    with_motd = profile('\n[[file]]\npath = "/etc/motd"\ntemplate = "motd"\n')
    texts = {"profiles__ram_page": with_motd, "templates__motd": "{% include 'part' %}", "templates__part": "one"}
    assert run(grid, "apply", site(grid, **texts), "--yes") == 0
    told = run_json(grid, capsys, "apply", site(grid, **texts, templates__unused="two"), "--dry-run")
    assert told["preview"]["changed"] == 0
    told = run_json(grid, capsys, "apply", site(grid, **{**texts, "templates__part": "two"}), "--dry-run")
    assert told["preview"]["changed"] == 30


def test_nodes_that_would_wait_are_counted(grid: Bench, capsys: Output) -> None:
    told = run_json(grid, capsys, "apply", site(grid, rules__lab=RULE.replace('arch = "arm64"', "cpus = 64")), "--dry-run")
    assert told["preview"]["waiting"] == 30
    assert told["preview"]["changes"][0]["to"] == "wait (not-approved)"


def test_disks_that_would_be_written_are_counted(grid: Bench, capsys: Output) -> None:
    with grid.server.database.writing() as connection:
        for node in node_records.list_nodes(connection, limit=4):
            node_records.approve_node(connection, node.id, 1.0, "name")
    installer = profile(before="writes_disk = true\n").replace('"payload-up"', '"installed"')
    rule = 'priority = 20\nprofile = "disk"\ninstall = "autumn"\n'
    features = ("boot", "wait", "dtb:running", "local", "mark")
    for number in range(30):
        grid.plan(make_report(evidence=serial(f"10000000000000{number:02}"), features=features))
    folder = site(grid, rules__disk=rule, profiles__disk=installer)
    told = run_json(grid, capsys, "apply", folder, "--dry-run")["preview"]
    assert (told["installed"], told["waiting"]) == (4, 26)
    assert run(grid, "apply", folder, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "ram-page -> disk  by rule disk  WRITES A DISK" in shown
    assert "4 nodes would be installed: what is on their disks is overwritten" in shown


def test_many_changes_are_not_made_in_a_pipe_without_a_word(grid: Bench, capsys: Output) -> None:
    folder = site(grid, profiles__ram_page=profile().replace("panic=10", "panic=20"))
    assert run(grid, "apply", folder) == 1
    assert "this must be confirmed" in capsys.readouterr().err
    assert run_json(grid, capsys, "revisions")[0]["revision"] == 1
    assert run(grid, "apply", folder, "--yes", "--as", "irina") == 0
    newest = run_json(grid, capsys, "revisions")[0]
    assert (newest["revision"], newest["by"], newest["files"]) == (2, "irina", ["profiles/ram-page.toml"])


def test_few_changes_are_made_without_a_question(grid: Bench) -> None:
    assert run(grid, "apply", site(grid, rules__big=OTHER, profiles__other=profile())) == 0


def test_the_threshold_is_a_setting(grid: Bench, capsys: Output) -> None:
    (grid.server.config.home / "server.toml").write_text("ask_above = 5\n")
    assert run(grid, "apply", site(grid, rules__big=OTHER, profiles__other=profile())) == 1
    assert "--yes says that it is meant" in capsys.readouterr().err


def test_what_another_operator_did_meanwhile_is_not_overrun_and_said_by_whom(bench: Bench) -> None:
    bench.apply()
    checked = check_folder(write_site(bench.folder / "mine", rules__lab=RULE.replace("10", "11")), bench.server.artifacts)
    base, _ = preview(bench.server, checked.revision)
    theirs = write_site(bench.folder / "theirs", rules__lab=RULE.replace("10", "12"))
    apply.apply_folder(theirs, bench.server, "olga@ops2")
    with pytest.raises(
        OperatorError, match=r"revision 2 was put in force by olga@ops2 at .*, and this was compared with revision 1"
    ):
        apply.put_in_force(checked, bench.server, base, "irina")


def test_of_many_operators_at_once_each_revision_has_one_and_nobody_is_lost_silently(bench: Bench) -> None:
    bench.apply()
    outcomes: list[str] = []
    start = threading.Barrier(6)

    def operate(number: int) -> None:
        folder = write_site(bench.folder / f"site{number}", rules__lab=RULE.replace("10", str(100 + number)))
        checked = check_folder(folder, bench.server.artifacts)
        base, _ = preview(bench.server, checked.revision)
        start.wait()
        try:
            outcomes.append(f"revision {apply.put_in_force(checked, bench.server, base, f'op{number}').number}")
        except OperatorError as error:
            outcomes.append("refused" if "was put in force by op" in error.message else error.message)

    threads = [threading.Thread(target=operate, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 5 + ["revision 2"]


def test_a_script_may_say_which_revision_it_looked_at(grid: Bench, capsys: Output) -> None:
    folder = site(grid, rules__big=OTHER, profiles__other=profile())
    assert run(grid, "apply", folder, "--against", "7") == 1
    assert "revision 1 is in force, not 7" in capsys.readouterr().err
    assert run(grid, "apply", folder, "--against", "1") == 0


def test_rollback_puts_the_revision_before_in_force_as_the_next_one(grid: Bench, capsys: Output) -> None:
    assert run(grid, "rollback") == 1
    assert "none before it" in capsys.readouterr().err
    run(grid, "apply", site(grid, rules__big=OTHER, profiles__other=profile()))
    big = make_report(evidence=serial("1000000000000002"), memory_bytes=3 << 30)
    assert (boot := grid.plan(big).boot) is not None
    assert boot.profile == "other"
    told = run_json(grid, capsys, "rollback", "--as", "irina")
    assert (told["applied"], told["revision"], told["preview"]["changed"]) == (True, 3, 10)
    assert grid.plan(make_report(evidence=serial("1000000000000002"), memory_bytes=3 << 30)).action is Action.BOOT
    listed = run_json(grid, capsys, "revisions")
    assert [(entry["revision"], entry["note"], entry["files"]) for entry in listed] == [
        (3, "rollback to 1", ["profiles/other.toml", "rules/big.toml"]),
        (2, "", ["profiles/other.toml", "rules/big.toml"]),
        (1, "", ["profiles/ram-page.toml", "rules/lab.toml"]),
    ]
    assert run(grid, "rollback", "3") == 1
    assert run(grid, "rollback", "2") == 0


def test_rollback_to_what_cannot_boot_any_more_is_refused(grid: Bench, capsys: Output) -> None:
    run(grid, "apply", site(grid, rules__big=OTHER, profiles__other=profile()))
    for path in grid.server.config.artifacts.iterdir():
        path.unlink()
    assert run(grid, "rollback") == 1
    assert "is not on this server" in capsys.readouterr().out


def test_diff_shows_lines_of_revisions_and_of_a_folder(grid: Bench, capsys: Output) -> None:
    folder = site(grid, rules__lab=RULE.replace("= 10", "= 30"))
    assert run(grid, "diff", folder) == 0
    shown = capsys.readouterr().out
    assert "+++ rules/lab.toml" in shown
    assert "-priority = 10" in shown
    assert "+priority = 30" in shown
    run(grid, "apply", folder, "--yes")
    capsys.readouterr()
    for words in ((), ("1",), ("1", "2")):
        assert run(grid, "diff", *words) == 0
        assert "+priority = 30" in capsys.readouterr().out
    assert run(grid, "diff", "2", "1") == 0
    assert "+priority = 10" in capsys.readouterr().out
    assert run(grid, "diff", "9") == 1
    assert run(grid, "diff", folder, "2") == 2


def git(folder: Path, *arguments: str) -> None:
    argv = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)


def test_a_folder_on_which_git_is_at_work_is_refused_until_git_is_done(bench: Bench) -> None:
    folder = write_site(bench.folder / "site")
    git(bench.folder, "init", "-q")
    lock = bench.folder / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(OperatorError, match=r"git is at work in it \(.*index\.lock is there\)"):
        read_settled_folder(folder, lambda _s: None)
    pauses: list[float] = []

    def finish(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            (folder / "rules" / "lab.toml").write_text(RULE.replace("10", "44"))
            lock.unlink()

    texts, _ = read_settled_folder(folder, finish)
    assert "44" in texts["rules/lab.toml"]


def test_a_linked_work_tree_has_its_lock_elsewhere(bench: Bench) -> None:
    main_tree = bench.folder / "main"
    write_site(main_tree)
    git(main_tree, "init", "-q")
    git(main_tree, "add", ".")
    git(main_tree, "commit", "-qm", "one")
    git(main_tree, "worktree", "add", "-q", str(bench.folder / "linked"))
    assert read_settled_folder(bench.folder / "linked", lambda _s: None)[0]
    (main_tree / ".git" / "worktrees" / "linked" / "index.lock").touch()
    with pytest.raises(OperatorError, match="git is at work"):
        read_settled_folder(bench.folder / "linked", lambda _s: None)


def test_files_that_come_and_go_while_they_are_read_are_read_again(bench: Bench) -> None:
    folder = write_site(bench.folder / "site")
    changes = iter(["rules/a.toml", "rules/b.toml"])

    def meanwhile(_seconds: float) -> None:
        if name := next(changes, None):
            (folder / name).write_text(RULE)

    texts, findings = read_settled_folder(folder, meanwhile)
    assert {"rules/a.toml", "rules/b.toml", "rules/lab.toml"} <= texts.keys()
    assert findings == []


def test_a_folder_that_never_comes_to_rest_is_refused(bench: Bench) -> None:
    folder = write_site(bench.folder / "site")
    with pytest.raises(OperatorError, match="keep changing while they are read"):
        read_settled_folder(folder, lambda _s: (folder / "rules" / f"r{time.monotonic_ns()}.toml").touch())


def test_a_checkout_that_goes_on_meanwhile_is_never_applied_by_half(bench: Bench) -> None:
    folder = bench.folder / "repo"
    versions = [
        {f"rules__r{number:02}": f'priority = {base + number}\nprofile = "ram-page"\n' for number in range(40)}
        for base in (100, 500)
    ]
    write_site(folder, **versions[0])
    git(folder, "init", "-q", "-b", "one")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    git(folder, "checkout", "-qb", "two")
    write_site(folder, **versions[1])
    git(folder, "commit", "-qam", "two")
    code = (
        "import subprocess, sys\n"
        "for n in range(25):\n"
        "    subprocess.run(['git', '-C', sys.argv[1], 'checkout', '-q', ('one', 'two')[n % 2]], check=True)\n"
    )
    switching = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    seen = set()
    try:
        while switching.poll() is None:
            try:
                texts, _ = read_settled_folder(folder)
            except OperatorError:
                continue
            seen.add(tuple(sorted(text.split("\n")[0] for path, text in texts.items() if path.startswith("rules/r"))))
    finally:
        switching.wait(timeout=60)
    whole = {tuple(sorted(text.split("\n")[0] for text in version.values())) for version in versions}
    assert seen <= whole


def test_conflicts_that_git_left_are_named_by_line(bench: Bench) -> None:
    text = "<<<<<<< HEAD\nhello\n=======\ngood day\n>>>>>>> theirs\n"
    told = [str(finding) for finding in bench.apply(templates__motd=text).findings]
    assert told == [
        "templates/motd:1: holds a conflict that git left: <<<<<<< HEAD",
        "templates/motd:5: holds a conflict that git left: >>>>>>> theirs",
    ]
