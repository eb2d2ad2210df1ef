"""The power goes at each stage of an installation in turn; the disk loses what was not flushed. Then no more cut."""

from dataclasses import replace

import pytest

from bootpilot_install.stages import Stage
from scripts.lab.install_site import DiskWish, InstallWish
from tests.qemu.install_bench import InstallBench, mark_on

pytestmark = pytest.mark.long

# The old system is whole until its mark is destroyed, and the new one from its mark on.
BEFORE, AFTER = Stage.GUARD, Stage.MARKED


def test_a_board_whose_power_goes_at_every_stage_of_a_reinstall_is_installed_in_the_end(bench: InstallBench) -> None:
    """Each try finds the disk as the cut before has left it. No attempt is used up, and no half of a system is ever started."""
    disk = bench.disk("D1", volatile=True)
    other = bench.disk("D2")
    wish = InstallWish(disk=DiskWish(serial="D1"), attempts=5)
    bench.want(wish)
    board = bench.board("cuts", disk, other)
    untouched = board.state(disk)
    board.run_to_system()
    old = mark_on(disk)
    assert old is not None
    bench.want(replace(wish, key="second"))
    for count, stage in enumerate(Stage, start=1):
        run = board.run_cut_at(stage)
        assert run.stages()[-1] == stage, run.stages()
        assert run.kernels() == 1, "it went straight to the installer"
        install, mark = board.install(), mark_on(disk)
        assert (install["state"], install["attempts"]) == ("wanted", 0)
        assert install["takes"] >= count
        if stage is BEFORE:
            assert mark == old
        elif stage is AFTER:
            assert mark is not None
            assert mark.install_id == install["install_id"] != old.install_id
        else:
            assert mark is None
    last = board.run_to_system()
    assert (last.stages(), last.kernels()) == ([], 1), "the mark alone told that the last try was whole"
    assert board.install()["state"] == "done"
    assert untouched.changed() == []
