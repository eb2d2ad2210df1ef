"""Artifacts that nobody needs are found and removed, and no others."""

import io
import itertools
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import update

from bootpilot_server.artifacts import artifact_pruning
from bootpilot_server.cli import main
from bootpilot_server.config import Config
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import open_server
from bootpilot_server.site_folder.apply import apply_folder, put_in_force
from bootpilot_server.site_folder.check import check_folder
from bootpilot_server.store import schema
from bootpilot_server.store.keeping import Keep
from tests.fakes.bench import Bench, make_bench
from tests.fakes.loaders import loader
from tests.fakes.reports import make_report, serial
from tests.fakes.site import INITRD, KERNEL, digest, profile, write_site

OLD_KERNEL = KERNEL + b"of old"
OLD, LATER = b"an old kernel", b"a kernel whose profile comes later"
MOTD = '\n[[file]]\npath = "/etc/motd"\ntemplate = "motd"\n'
DAY_S = 86400.0
# What the files' times are set to; the tests' clock stands a month later.
THEN = 1_700_000_000.0
NOW = THEN + 30 * DAY_S


def store(bench: Bench, content: bytes, at: float = THEN) -> str:
    sha256, _ = bench.server.artifacts.add(io.BytesIO(content))
    with suppress(FileNotFoundError):  # one test prunes meanwhile
        os.utime(bench.server.artifacts.folder / sha256, (at, at))
    return sha256


def age_everything(bench: Bench, planned_at: float) -> None:
    """As if all that is stored had been stored long ago, and all plans been made at that time."""
    for sha256 in bench.server.artifacts.digests():
        os.utime(bench.server.artifacts.folder / sha256, (THEN, THEN))
    with bench.server.database.writing() as connection:
        connection.execute(update(schema.boots).values(planned_at=planned_at))
        connection.execute(update(schema.questions).values(asked_at=planned_at))


def pruned(bench: Bench, *, remove: bool = False) -> set[str]:
    return {item.sha256 for item in artifact_pruning.prune(bench.server, NOW, remove=remove).unneeded}


def test_what_a_profile_in_force_names_stays_and_what_nothing_names_goes(bench: Bench) -> None:
    bench.apply()
    old = store(bench, OLD)
    age_everything(bench, THEN)
    assert pruned(bench) == {old}
    assert bench.server.artifacts.has(old)
    assert pruned(bench, remove=True) == {old}
    assert bench.server.artifacts.digests() == sorted([digest(KERNEL), digest(INITRD)])
    assert pruned(bench) == set()


def naming(content: bytes) -> str:
    return profile().replace(digest(KERNEL), digest(content))


def test_what_the_last_revisions_name_stays_so_that_a_rollback_finds_it(tmp_path: Path) -> None:
    config = Config(tmp_path / "home", keep=Keep(artifact_revisions=3))
    for bench in make_bench(tmp_path, config):
        kernels = [KERNEL + bytes([number]) for number in range(5)]
        for content in kernels:
            store(bench, content)
            assert bench.apply(profiles__ram_page=naming(content)).is_usable
        age_everything(bench, THEN)
        assert pruned(bench, remove=True) == {digest(KERNEL), *(digest(content) for content in kernels[:2])}
        home = str(config.home)
        assert main(["--home", home, "rollback", "3", "--yes"]) == 0
        assert main(["--home", home, "rollback", "1", "--yes"]) == 1


def test_a_newer_loader_in_force_stays(bench: Bench) -> None:
    kernel = store(bench, OLD_KERNEL)
    assert bench.apply(loaders__new=loader().replace(digest(KERNEL), kernel)).is_usable
    age_everything(bench, THEN)
    assert kernel not in pruned(bench)


def test_what_was_pruned_after_it_was_checked_is_not_put_in_force(bench: Bench) -> None:
    bench.apply()
    kernel = store(bench, OLD_KERNEL)
    site = write_site(bench.folder / "next", profiles__ram_page=naming(OLD_KERNEL))
    checked = check_folder(site, bench.server.artifacts)
    assert checked.is_usable
    assert kernel in pruned(bench, remove=True)
    with pytest.raises(OperatorError, match="vmlinuz was removed from this server just now"):
        put_in_force(checked, bench.server, 1, "")


def test_nothing_that_is_in_force_or_planned_goes_while_others_add_apply_and_ask(bench: Bench) -> None:
    """One prunes without pause, as a second server on the same folder."""
    bench.apply()
    pruner = open_server(bench.server.config, create=False)
    is_over, pauses = threading.Event(), itertools.cycle((0.01, 0.1, 0.05, 0.2))
    faults: list[BaseException] = []

    def prune_on() -> None:
        try:
            # Now and then an apply, which takes some 70 ms, comes between two of them.
            while not is_over.wait(next(pauses)):
                artifact_pruning.prune(pruner, NOW, remove=True)
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=prune_on)
    thread.start()
    applied = tries = 0
    try:
        while applied < 5:
            tries += 1
            content = KERNEL + tries.to_bytes(4, "big")
            # As old as what may go.
            store(bench, content)
            site = write_site(bench.folder / "site", profiles__ram_page=naming(content))
            with suppress(OperatorError):
                applied += apply_folder(site, bench.server).is_usable
            plan = bench.plan(make_report(evidence=serial(f"1000000000ab{tries:04}")))
            assert plan.boot is not None, plan.wait
            assert bench.server.artifacts.has(plan.boot.kernel.sha256)
            assert tries < 1000
    finally:
        is_over.set()
        thread.join(60)
        pruner.database.close()
    assert faults == []


def test_what_was_added_lately_waits_for_its_profile(bench: Bench) -> None:
    store(bench, LATER, NOW - 6 * DAY_S)
    assert pruned(bench) == set()
    store(bench, LATER, NOW - 8 * DAY_S)
    assert pruned(bench) == {digest(LATER)}


def test_files_made_for_plans_stay_as_long_as_a_board_may_fetch_them(bench: Bench) -> None:
    bench.apply(profiles__ram_page=profile(MOTD), templates__motd="{{ node.serial }}")
    for number in (1, 2):
        bench.plan(make_report(evidence=serial(f"1000000000abcd{number:02}")))
    rendered = {digest(f"1000000000abcd{number:02}".encode()) for number in (1, 2)}
    age_everything(bench, NOW - 6 * DAY_S)
    assert pruned(bench) == set()
    age_everything(bench, NOW - 8 * DAY_S)
    assert pruned(bench, remove=True) == rendered
    plan = bench.plan(make_report(evidence=serial("1000000000abcd01")))
    assert plan.boot is not None
    assert bench.client.get(plan.boot.files[0].artifact.urls[0]).data == b"1000000000abcd01"


def test_what_a_profile_in_force_or_a_recent_plan_names_is_not_removed_by_hand(bench: Bench) -> None:
    bench.apply()
    old = store(bench, OLD)
    bench.plan()
    age_everything(bench, NOW - 6 * DAY_S)
    with pytest.raises(OperatorError, match=r"is named by profiles/ram-page\.toml, which is in force"):
        artifact_pruning.remove_named(bench.server, [old, digest(KERNEL)], NOW)
    assert bench.server.artifacts.has(old)
    without = "\n".join(line for line in profile().split("\n")[:7]) + "\n"
    assert bench.apply(profiles__ram_page=without).is_usable
    with pytest.raises(OperatorError, match="was named in a plan of the last 7 days"):
        artifact_pruning.remove_named(bench.server, [digest(INITRD)], NOW)
    assert artifact_pruning.remove_named(bench.server, [digest(INITRD)], NOW + 2 * DAY_S) == [digest(INITRD)]
    assert bench.server.artifacts.digests() == sorted([digest(KERNEL), old])


def test_the_beginning_of_a_digest_names_an_artifact_and_too_little_of_it_names_none(bench: Bench) -> None:
    old = store(bench, OLD)
    for unknown in ("", old[:7], "0" * 64, "../secret.key"):
        with pytest.raises(OperatorError, match="no artifact is known as"):
            artifact_pruning.remove_named(bench.server, [unknown], NOW)
    assert artifact_pruning.remove_named(bench.server, [old[:8].upper()], NOW) == [old]


def test_pruning_shows_first_and_removes_when_told_to(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    old = store(bench, OLD, 0)
    home = bench.server.config.home
    for options, said in (
        ([], f"{old}  {len(OLD)}    -\nwould be removed: 1 artifacts"),
        (["--yes"], "\nremoved: 1 artifacts"),
    ):
        assert main(["--home", str(home), "artifact", "prune", *options]) == 0
        assert said in capsys.readouterr().out
    assert main(["--home", str(home), "artifact", "prune", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["removed"], told["artifacts"], set(told["kept"].values())) == (False, [], {0})
    new = store(bench, LATER)
    assert main(["--home", str(home), "artifact", "rm", new]) == 0
    assert capsys.readouterr().out == f"removed {new}\n"
    assert bench.server.artifacts.digests() == []
