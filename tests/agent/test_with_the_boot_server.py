"""The agent in process against the boot server itself, run as an operator runs it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_agent.events import EventName
from scripts.lab.boot_server import BootServer
from tests.fakes.board import FakeBoard
from tests.fakes.kernels import KERNELS

INITRD = b"an initrd of some length, not a multiple of four"
PROFILE = """
expects = "payload-up"
command_line = "console=ttyS0 panic=10"
[kernel]
name = "vmlinuz"
sha256 = "{kernel}"
[[initrd]]
name = "initrd"
sha256 = "{initrd}"
unpacked_size = 4096
[dtb]
policy = "running"
"""
RULE = 'priority = 10\nprofile = "{profile}"\nadmit = {admit}\n[match]\narch = ["{arch}"]\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootServer]:
    folder = tmp_path_factory.mktemp("server")
    running = BootServer(folder / "home")
    site = {}
    for arch, make_kernel in KERNELS.items():
        (folder / arch).write_bytes(make_kernel())
        (folder / "initrd").write_bytes(INITRD)
        kernel = running.add_artifact(folder / arch, "vmlinuz").sha256
        initrd = running.add_artifact(folder / "initrd", "initrd", 4096).sha256
        site[f"profiles/{arch}.toml"] = PROFILE.format(kernel=kernel, initrd=initrd)
        site[f"rules/{arch}.toml"] = RULE.format(profile=arch, arch=arch, admit="false" if arch == "arm64" else "true")
    running.apply(site)
    running.start("--allow-simulated")
    yield running
    running.stop()


@pytest.mark.parametrize("arch", ["amd64", "armhf"])
def test_a_board_boots_and_the_server_knows_every_step(server: BootServer, arch: str, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, arch=arch, servers=(server.url,), serial=f"SERIAL-{arch}-1")
    assert board.boot().how == "kexec -e", board.console
    loaded = board.run.loaded
    assert loaded is not None
    assert loaded.kernel == KERNELS[arch]()
    assert loaded.initrd.startswith(INITRD)
    node_id = loaded.note["node_id"]
    (node,) = [node for node in server.nodes() if node["node_id"] == node_id]
    assert node["boot_id"] == loaded.note["boot_id"]
    assert [event["name"] for event in node["events"]] == [
        EventName.STARTED,
        EventName.NETWORK_UP,
        EventName.IDENTIFIED,
        EventName.PLANNED,
        EventName.FETCHED,
        EventName.LOADED,
        EventName.HANDOVER,
    ]


def test_a_board_that_nobody_approved_waits_until_somebody_does(server: BootServer, tmp_path: Path) -> None:
    board = FakeBoard(tmp_path, arch="arm64", servers=(server.url,), serial="SERIAL-arm64-1")
    approvals: list[str] = []

    def approve_on_third_poll() -> None:
        if "not-approved" in board.console and not approvals:
            approvals.append(server.command("node", "approve", "SERIAL-arm64-1"))

    board.network.on_poll = approve_on_third_poll
    assert board.boot().how == "kexec -e", board.console
    assert approvals


def test_a_changed_byte_on_the_servers_disk_is_never_booted(server: BootServer, tmp_path: Path) -> None:
    digest = hashlib.sha256(KERNELS["amd64"]()).hexdigest()
    (stored,) = (server.home / "artifacts" / "sha256").rglob(digest)
    whole = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(whole[:-1] + b"!")
    try:
        board = FakeBoard(tmp_path, servers=(server.url,), serial="SERIAL-amd64-2")
        assert board.boot().exit_code == 72, board.console
    finally:
        stored.write_bytes(whole)
    assert board.run.loaded is None
    events = [event for event in server.events() if event.data.get("stage") == "verify"]
    assert [event.name for event in events] == [EventName.FAILED]
