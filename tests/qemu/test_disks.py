"""What does not install writes to no disk, be it one with a journal to replay, and never to the card."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.inventory import Transport
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.disk_caches import disk_caches
from scripts.lab.disk_images import DiskState, image_digest, make_disk
from scripts.lab.disks import Bus, Disk, disks_argv
from tests.qemu.conftest import Boot
from tests.qemu.foreign_disks import copied, foreign_disks
from tests.qemu.small_card import CARD_ARGUMENT, write_card
from tests.qemu.waiting import wait_for_events

MIB = 1 << 20


@pytest.mark.long
def test_a_plan_that_runs_from_memory_changes_no_bit_on_any_disk(
    built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    """Four disks, each attached in another way, with what a look at them could disturb; the card is a fifth."""
    server.start()
    publish(server, built("amd64"))
    card = Disk(write_card(folder / "card.img", f'server = "{server_url(server)}"\n'), Bus.USB, "CARD1")
    buses = {"ext4": Bus.SATA, "lvm": Bus.NVME, "raid": Bus.USB, "hibernated": Bus.VIRTIO}
    disks = [Disk(copied(image, folder / image.name), buses[name], name) for name, image in foreign_disks().items()]
    before = DiskState.of(disk.path for disk in (card, *disks))
    guest = make_guest(built("amd64"), "ram only", folder, Wiring(), (CARD_ARGUMENT,))
    with boot(replace(guest, disks=(card, *disks))):
        wait_for_events(server, "handover", "payload-up")
    assert before.changed() == []
    (node,) = server.nodes()
    seen = {disk["serial"]: (disk["transport"], disk["boot_medium"]) for disk in node["report"]["disks"]}
    assert seen == {
        "CARD1": (Transport.USB, True),
        "ext4": (Transport.SATA, False),
        "lvm": (Transport.NVME, False),
        "raid": (Transport.USB, False),
        "hibernated": (Transport.VIRTIO, False),
    }


def test_one_bit_anywhere_changes_the_digest_and_a_hole_is_as_good_as_zeros(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk.img", Bus.SATA, "D1", 64)
    empty = image_digest(disk.path)
    with disk.path.open("r+b") as stream:
        stream.seek(33 * MIB)
        stream.write(bytes(5 * MIB))
    assert image_digest(disk.path) == empty
    state = DiskState.of([disk.path])
    for place in (0, 40 * MIB - 1, 64 * MIB - 1):
        with disk.path.open("r+b") as stream:
            stream.seek(place)
            stream.write(b"\x01")
        assert state.changed() == [disk.path]
        assert image_digest(disk.path, place, place + 1) != image_digest(disk.path, MIB, MIB + 1)
        with disk.path.open("r+b") as stream:
            stream.seek(place)
            stream.write(b"\0")
        assert state.changed() == []


def test_disks_of_one_bus_share_their_controller_and_each_has_its_own_serial_number() -> None:
    disks = [Disk(Path(f"/d{number}"), bus, f"S{number}") for number, bus in enumerate((Bus.SATA, Bus.SATA, Bus.NVME))]
    argv = disks_argv(disks, "pci")
    assert argv.count("ich9-ahci,id=disks-sata") == 1
    assert [word for word in argv if "serial=" in word] == [
        "ide-hd,drive=disks-sata-0,serial=S0,bus=disks-sata.0",
        "ide-hd,drive=disks-sata-1,serial=S1,bus=disks-sata.1",
        "nvme,drive=disks-nvme-0,serial=S2",
    ]


def test_a_volatile_disk_keeps_what_was_flushed_and_loses_the_rest(folder: Path) -> None:
    disk = replace(make_disk(folder / "disk.img", Bus.SATA, "D1", 8), volatile=True)
    with disk_caches([disk]) as caches:
        commands = [word for text in ("write -P 1 0 1M", "flush", "write -P 2 1M 1M", "sleep 600000") for word in ("-c", text)]
        argv = ["stdbuf", "-oL", "qemu-io", "-t", "writeback", "-f", "raw", *commands, disk.drive_file]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            written = [line for _, line in zip(range(2), (line for line in writer.stdout if "ops;" in line), strict=False)]
            assert len(written) == 2
            caches.lose()
            writer.kill()
    with disk.path.open("rb") as stream:
        assert (stream.read(MIB), stream.read(MIB)) == (b"\1" * MIB, bytes(MIB))
