"""Installations on a simulated PC with a small root file system: what goes wrong, and what server and disks say of it."""

import threading
from dataclasses import replace

import pytest

from bootpilot_install.stages import Stage
from scripts.lab.disks import Bus, Disk
from scripts.lab.install_site import DiskWish, InstallWish
from scripts.lab.relay import Call, Fate
from tests.qemu.foreign_disks import copied, foreign_disks
from tests.qemu.install_bench import InstallBench, Run, mark_on

pytestmark = pytest.mark.long

WHOLE = ["guard", "unmarked", "partitioned", "formatted", "writing", "written", "configured", "flushed", "marked"]
SERVER_AWAY_S = 20.0


def test_with_two_disks_that_fit_nothing_is_written_and_one_that_is_named_is_installed_and_started_ever_after(
    bench: InstallBench,
) -> None:
    bench.want(InstallWish())
    first, second = bench.disk("D1"), bench.disk("D2")
    board = bench.board("two disks", first, second)
    before = board.state()
    failed = board.run_to_failure()
    assert failed.failure().startswith("2 disks fit")
    assert failed.stages() == []
    assert before.changed() == []
    assert board.install()["state"] == "wanted"
    bench.want(InstallWish(disk=DiskWish(serial="D2")))
    untouched = board.state(second)
    installed = board.run_to_system()
    assert (installed.stages(), installed.kernels()) == (WHOLE, 2)
    # A failure uses up an attempt, which is counted when the board comes back.
    assert (board.install()["state"], board.install()["attempts"]) == ("done", 1)
    assert "2 disks fit" in board.install()["last_failure"]
    again = board.run_to_system()
    assert (again.stages(), again.kernels()) == ([], 1)
    assert untouched.changed() == []


def test_a_card_is_no_disk_and_a_small_disk_is_too_small_and_after_the_last_attempt_a_person_must_look(
    bench: InstallBench,
) -> None:
    """The card is on USB, and USB disks are wanted: it is the card's PARTUUID that saves it."""
    wish = InstallWish(disk=DiskWish(transports=("sata", "usb")), attempts=2)
    bench.want(wish)
    board = bench.board("no disk")
    card_only = board.run_to_failure()
    assert card_only.failure().startswith("no disk fits")
    assert "is the boot medium" in card_only.failure()
    board.guest = replace(board.guest, disks=(*board.guest.disks, bench.disk("D1", size_mib=256)))
    before = board.state()
    bench.want(replace(wish, disk=replace(wish.disk, min_gb=1)))
    small = board.run_to_failure()
    assert "has less than 0.9 GiB" in small.failure()
    assert "is the boot medium" in small.failure()
    waiting = board.run(lambda run: "on-hold" in run.running.console(), "the board waits for a person")
    assert waiting.kernels() == 0
    install = board.install()
    assert (install["state"], install["attempts"], install["takes"]) == ("failed", 2, 2)
    assert before.changed() == []


def test_a_disk_with_data_is_left_as_it_is_until_the_profile_gives_it_away(bench: InstallBench) -> None:
    names = {"lvm": "LVM2_member", "raid": "linux_raid_member", "ext4": "ext4", "hibernated": "swsuspend"}
    disks = {name: Disk(copied(image, bench.folder / image.name), Bus.SATA, name) for name, image in foreign_disks().items()}
    wish = InstallWish(attempts=9)
    bench.want(wish)
    board = bench.board("data", *disks.values())
    before = board.state()
    for name, held in names.items():
        bench.want(replace(wish, disk=DiskWish(serial=name)))
        failed = board.run_to_failure()
        assert "holds data" in failed.failure()
        assert held in failed.failure()
        assert failed.stages() == []
    assert before.changed() == []
    others = board.state(disks["lvm"])
    bench.want(replace(wish, disk=DiskWish(serial="lvm", wipe=True)))
    assert board.run_to_system().stages() == WHOLE
    assert others.changed() == []


def test_a_server_that_goes_away_in_mid_install_and_comes_back_costs_nothing(bench: InstallBench) -> None:
    bench.want(InstallWish())
    board = bench.board("server away", bench.disk("D1"))
    back = threading.Timer(SERVER_AWAY_S, bench.server.start)

    def go_away(_: Run, call: Call) -> Fate:
        # Once: the board says it again when the server is back.
        if Stage.FORMATTED in call.stages() and back.ident is None:
            bench.server.stop()
            back.start()
        return Fate.CARRY

    installed = board.run_to_system(go_away)
    back.join()
    assert (installed.stages(), installed.kernels()) == (WHOLE, 2)
    assert (board.install()["state"], board.install()["takes"]) == ("done", 1)


def test_a_last_word_that_is_lost_is_told_by_the_mark(bench: InstallBench) -> None:
    bench.want(InstallWish())
    board = bench.board("done lost", bench.disk("D1"))

    def lose_the_end(_: Run, call: Call) -> Fate:
        return Fate.LOSE if call.ends("done") or "installed" in call.names() else Fate.CARRY

    def asked_twice(run: Run) -> bool:
        return sum(call.ends("done") for call in run.calls()) >= 2

    board.run(asked_twice, "the last word is lost twice", lose_the_end)
    assert board.install()["state"] == "wanted"
    after = board.run_to_system()
    assert (after.stages(), after.kernels()) == ([], 1)
    assert (board.install()["state"], board.install()["attempts"]) == ("done", 0)


def test_last_words_that_come_twice_or_too_late_change_nothing_and_an_order_in_mid_install_counts_afterwards(
    bench: InstallBench,
) -> None:
    bench.want(InstallWish())
    board = bench.board("done again", bench.disk("D1"))
    run = board.run_to_system(lambda _, call: Fate.DOUBLE if call.ends("done") else Fate.CARRY)
    first = board.install()
    assert (first["state"], run.stages()) == ("done", WHOLE)
    name = board.node()["node_id"]
    bench.server.command("node", "reinstall", name)
    ordered = board.install()
    assert ordered["install_id"] != first["install_id"]

    def order_another_meanwhile(_: Run, call: Call) -> Fate:
        """Its last word is then a late one, of an install that nobody wants any more."""
        if Stage.WRITTEN in call.stages() and board.install()["install_id"] == ordered["install_id"]:
            bench.server.command("node", "reinstall", name)
        return Fate.CARRY

    assert board.run_to_system(order_another_meanwhile).stages() == WHOLE
    wanted = board.install()
    assert wanted["install_id"] not in (first["install_id"], ordered["install_id"])
    assert wanted["state"] == "wanted"
    assert board.run_to_system().stages() == WHOLE
    assert (board.install()["install_id"], board.install()["state"]) == (wanted["install_id"], "done")
    assert board.run_to_system().stages() == []


def test_an_image_that_is_not_what_was_promised_or_does_not_fit_leaves_no_mark_and_the_next_one_does(
    bench: InstallBench,
) -> None:
    """The small disk takes the packed image and not what is in it, which nobody has told the server."""
    bench.want(InstallWish(tells_size=False))
    small, large = bench.disk("SMALL", size_mib=35), bench.disk("LARGE")
    board = bench.board("bad images", small)
    full = board.run_to_failure()
    assert full.stages()[-1] in ("formatted", "writing")
    assert "full" in full.failure() or "fit" in full.failure(), full.failure()
    assert mark_on(small) is None
    board.guest = replace(board.guest, disks=(board.guest.disks[0], large))
    bench.damage_image()
    wrong = board.run_to_failure()
    assert bench.kit.rootfs.sha256[:8] in wrong.failure(), wrong.failure()
    assert mark_on(large) is None
    bench.damage_image()
    assert board.run_to_system().stages() == WHOLE
    assert (board.install()["state"], board.install()["attempts"]) == ("done", 2)


def test_a_board_whose_server_lost_its_database_starts_its_disk_and_nothing_else_until_a_person_approves(
    bench: InstallBench,
) -> None:
    bench.want(InstallWish())
    board = bench.board("adopted", bench.disk("D1"))
    board.run_to_system()
    node_id, install = board.node()["node_id"], board.install()
    bench.server.stop()
    bench.server.forget()
    bench.server.start()
    adopted = board.run_to_system()
    assert (adopted.stages(), adopted.kernels()) == ([], 1)
    node = board.node()
    assert (node["node_id"], node["adopted"], node["approved"]) == (node_id, True, False)
    assert node["install"]["install_id"] == install["install_id"]
    # Another key wants it installed anew: not while nobody has approved it.
    bench.want(InstallWish(key="second"))
    assert board.run_to_system().stages() == []
    bench.server.command("approve", node_id)
    assert board.run_to_system().stages() == [], "the key of the moment of approval counts as met"
    bench.server.command("node", "reinstall", node_id)
    assert board.run_to_system().stages() == WHOLE


def test_a_board_boots_its_disk_without_a_server_and_tells_of_it_later(bench: InstallBench) -> None:
    bench.want(InstallWish(autonomous_after_s=30))
    board = bench.board("alone", bench.disk("D1"))
    board.run_to_system()
    bench.server.stop()
    with_server_back = threading.Event()

    def told(run: Run) -> bool:
        if run.verdict() is not None and not with_server_back.is_set():
            bench.server.start()
            with_server_back.set()
        return any(call.ends("events") and call.is_answered and b'"system"' in call.body for call in run.calls())

    alone = board.run(told, "a boot without a server is told later")
    assert (alone.stages(), alone.kernels()) == ([], 1)
    verdict = alone.verdict()
    assert verdict is not None
    node = board.node()
    assert node["boot_id"] == verdict.boot_id
    assert node["install"]["state"] == "done"
