"""A newer loader that is of no use on a board, against the boot server itself: the board gets its payload all the same."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer
from tests.fakes.board import FakeBoard, RecordingRun
from tests.fakes.kernels import bzimage
from tests.fakes.loaders import NEW, OLD, write_build

PROFILE = """
expects = "payload-up"
command_line = "console=ttyS0 panic=10"
[kernel]
name = "vmlinuz"
sha256 = "{kernel}"
[dtb]
policy = "running"
"""
RULE = 'priority = 10\nprofile = "payload"\nadmit = true\n[match]\narch = ["amd64"]\n'
MOST_TRIES = 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BootServer]:
    running = BootServer(tmp_path / "home")
    kernel = tmp_path / "payload"
    kernel.write_bytes(bzimage(12288))
    sha256 = running.add_artifact(kernel, "payload").sha256
    newer = running.command("loader", "add", str(write_build(tmp_path / "new", arch="amd64", kernel=bzimage())))
    site = {"profiles/payload.toml": PROFILE.format(kernel=sha256), "rules/all.toml": RULE, "loaders/amd64.toml": newer}
    running.apply(site)
    running.start()
    yield running
    running.stop()


def board_of(folder: Path, server: BootServer, build: str, run: RecordingRun) -> FakeBoard:
    """The same board each time, with a loader of this build in memory."""
    board = FakeBoard(folder, servers=(server.url,), shell=False, run=run)
    facts = json.loads((board.root / "etc/bootpilot/build.json").read_text())
    (board.root / "etc/bootpilot/build.json").write_text(json.dumps(facts | {"build_id": build}))
    dmi = board.root / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "product_serial").write_text("SERIAL-OF-THIS-BOARD\n")
    return board


@pytest.mark.parametrize(
    "broken", [{"load_error": "kexec_load failed: Invalid argument"}, {"jump_works": False}], ids=["refused", "comes back"]
)
def test_a_board_whose_newer_loader_cannot_jump_gets_its_payload_from_the_cards_one(
    broken: dict[str, str | bool], server: BootServer, tmp_path: Path
) -> None:
    loaded = []
    for number in range(MOST_TRIES + 1):
        card = board_of(tmp_path / f"card {number}", server, OLD, RecordingRun())
        assert card.boot().how == "kexec -e", card.console
        assert card.run.loaded is not None
        loaded.append(len(card.run.loaded.kernel))
        if number == MOST_TRIES:
            break
        newer = board_of(tmp_path / f"newer {number}", server, NEW, RecordingRun(**broken))  # type: ignore[arg-type]
        (newer.root / "bootpilot").mkdir()
        (newer.root / "bootpilot/boot.json").write_text(json.dumps(card.run.loaded.note))
        assert newer.boot().how == "reboot -f", newer.console
    assert loaded == [len(bzimage())] * MOST_TRIES + [len(bzimage(12288))]
    (node,) = server.nodes()
    assert any(f"(build {NEW}) is not offered: it failed 3 times in a row on this board" in why for why in node["why"])
