"""Whole installations in process: real disks' files, real programs, a real HTTP server; only kexec is played."""

from pathlib import Path

import pytest

from bootpilot_agent.events import EventName, Source, events_from_json
from bootpilot_agent.mark import Mark
from bootpilot_agent.partition_table import read_partitions
from bootpilot_install.stages import Stage
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.install_orders import install_order
from tests.fakes.installing_machine import BOOT_ID, INSTALL_ID, NODE_ID, InstallingMachine, MountedPartition
from tests.fakes.root_archives import pack, small_system


def stages(server: FakeBootServer) -> list[str]:
    """What the server heard, in order, each once."""
    bodies = [request.body for request in server.asked(f"/v1/boots/{BOOT_ID}/events")]
    events = {event.seq: event for body in bodies for event in events_from_json(body)}
    assert {event.source for event in events.values()} <= {Source.INSTALLER}
    told = [events[seq] for seq in sorted(events)]
    return [str(event.data.get("stage", event.name)) for event in told if event.data.get("stage") != Stage.WRITING]


def read_mark(disk: Path) -> Mark | None:
    raw = disk.read_bytes()[: 8 << 20]
    return Mark.from_bytes(raw[1 << 20 : 2 << 20])


@pytest.mark.parametrize("compression", ["zst", "xz", "gz", "none"])
def test_a_tar_archive_becomes_a_system_that_is_marked_and_started(
    machine: InstallingMachine, server: FakeBootServer, tmp_path: Path, compression: str
) -> None:
    disk = machine.add_disk()
    raw = small_system().bytes()
    artifact = server.artifact(pack(raw, compression), unpacked_size=len(raw))
    ending = machine.install(install_order({"kind": "tar", "compression": compression, "artifact": artifact}))
    assert ending == "kexec -e", machine.console
    assert stages(server) == [
        "guard", "unmarked", "partitioned", "formatted", "written", "configured", "flushed", "marked", EventName.INSTALLED,
    ]  # fmt: skip
    assert [request.body for request in server.asked(f"/v1/boots/{BOOT_ID}/done")] == [
        b'{"version": 1, "install_id": "%s"}' % INSTALL_ID.encode()
    ]
    mark = read_mark(disk)
    table = read_partitions(lambda offset, size: disk.read_bytes()[offset : offset + size], disk.stat().st_size)
    assert mark is not None
    assert (mark.node_id, mark.install_id, mark.root_partuuid) == (NODE_ID, INSTALL_ID, table[1].partuuid)
    loaded = machine.run.kexec.loaded
    assert loaded is not None
    assert loaded.initrd.startswith(b"an initrd of the system")
    assert loaded.note["boot_id"] == BOOT_ID
    assert loaded.command_line == f"root=PARTUUID={mark.root_partuuid} ro console=tty0 console=ttyS0,115200"
    with MountedPartition(disk, 2, tmp_path / "look") as root:
        assert (root / "etc/hostname").read_text() == "web-1\n"
        assert (root / "usr/bin/passwd").stat().st_mode == 0o104755
        assert (root / "etc/machine-id").read_text() == "uninitialized\n"
        assert not (root / "etc/ssh/ssh_host_rsa_key").exists()
