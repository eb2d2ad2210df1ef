"""Whole installations that fail: where, with which words, what the server hears, and what is left on the disk."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootpilot_agent.events import EventName, events_from_json
from bootpilot_agent.fields import Json
from bootpilot_agent.mark import MARK_PARTITION_TYPE, Mark
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.install_orders import install_order
from tests.fakes.installing_machine import BOOT_ID, CARD, NODE_ID, InstallingMachine, told
from tests.fakes.root_archives import pack, small_system
from tests.fakes.scripted_server import Reply

RAW = small_system().bytes()


def failure(server: FakeBootServer) -> tuple[str, str]:
    """Stage and message of the `failed` event; the word `failed` came, too."""
    bodies = [request.body for request in server.asked(f"/v1/boots/{BOOT_ID}/events")]
    events = [event for body in bodies for event in events_from_json(body) if event.name is EventName.FAILED]
    assert len({event.seq for event in events}) == 1
    assert len(server.asked(f"/v1/boots/{BOOT_ID}/failed")) == 1
    assert server.asked(f"/v1/boots/{BOOT_ID}/done") == []
    return str(events[0].data["stage"]), str(events[0].data["message"])


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def mark_of(file: Path) -> Mark | None:
    with file.open("rb") as disk:
        disk.seek(1 << 20)
        return Mark.from_bytes(disk.read(8192))


def tar_image(server: FakeBootServer, raw: bytes, unpacked_size: int | None = None) -> dict[str, Json]:
    return {"kind": "tar", "compression": "zst", "artifact": server.artifact(pack(raw, "zst"), unpacked_size=unpacked_size)}


def test_without_the_cards_name_nothing_is_written(machine: InstallingMachine, server: FakeBootServer) -> None:
    disk = machine.add_disk()
    before = digest(disk)
    machine.note = {"card_partuuid": None}
    with pytest.raises(Exception, match="card_partuuid: expected the card's PARTUUID"):
        machine.install(install_order(tar_image(server, small_system().bytes())))
    assert digest(disk) == before


def test_a_guard_that_matches_nothing_writes_nothing_and_says_what_there_is(
    machine: InstallingMachine, server: FakeBootServer
) -> None:
    disks = [machine.add_disk("sda", 64), machine.add_disk("nvme0n1", 64, "nvme"), machine.add_disk("mmcblk0", 64, "mmc")]
    before = [digest(disk) for disk in disks]
    ending = machine.install(install_order(tar_image(server, small_system().bytes()), disk={"min_bytes": 1 << 40}))
    assert ending == "exit code 82"
    stage, message = failure(server)
    assert stage == "guard"
    assert "no disk fits, and exactly one has to: sata or usb, at least 1024.0 GiB; nothing was written" in message
    assert "nvme0n1" in message
    assert "mmcblk0" in message
    assert [digest(disk) for disk in disks] == before


@pytest.mark.parametrize("wipe", [False, True])
def test_a_copy_of_the_card_on_a_sata_disk_is_never_taken(
    machine: InstallingMachine, server: FakeBootServer, wipe: bool
) -> None:
    disk = machine.add_disk("sda", 64)
    script = f"label: dos\nlabel-id: 0x{CARD[:8]}\nstart=1MiB, type=c\n"
    told("sfdisk", "-q", str(disk), given=script.encode())
    before = digest(disk)
    assert machine.install(install_order(tar_image(server, small_system().bytes()), disk={"wipe": wipe})) == "exit code 82"
    assert f"is the boot medium, or a copy of it (PARTUUID {CARD})" in failure(server)[1]
    assert digest(disk) == before


def make_ext4(disk: Path) -> None:
    told("mke2fs", "-q", "-F", "-t", "ext4", str(disk))


def make_dirty_ext4(disk: Path) -> None:
    make_ext4(disk)
    with disk.open("r+b") as file:
        file.seek(1024 + 0x3A)
        file.write(b"\0\0")


def make_hibernated(disk: Path) -> None:
    told("mkswap", str(disk))
    with disk.open("r+b") as file:
        file.seek(4096 - 10)
        file.write(b"S1SUSPEND\0")


def make_physical_volume(disk: Path) -> None:
    """LVM's label and header as in lib/format_text/layout.h; the programs for it are not needed to make one."""
    label = bytearray(512)
    label[:8] = b"LABELONE"
    label[8:16] = (1).to_bytes(8, "little")
    label[20:24] = (32).to_bytes(4, "little")
    label[24:32] = b"LVM2 001"
    label[32:64] = b"abcdefghijklmnopqrstuvwxyz012345"
    label[16:20] = _lvm_crc(bytes(label[20:])).to_bytes(4, "little")
    with disk.open("r+b") as file:
        file.seek(512)
        file.write(label)


def _lvm_crc(data: bytes) -> int:
    """lib/misc/crc.c: CRC-32 with its own first value and no last inversion."""
    crc = 0xF597A6CF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc


def make_raid_member(disk: Path) -> None:
    """A version 1.2 superblock (include/uapi/linux/raid/md_p.h), 4 KiB from the beginning."""
    block = bytearray(256)
    block[0:4] = (0xA92B4EFC).to_bytes(4, "little")
    block[4:8] = (1).to_bytes(4, "little")
    block[16:32] = bytes(range(16))
    block[144:152] = (8).to_bytes(8, "little")
    total = sum(int.from_bytes(block[i : i + 4], "little") for i in range(0, 256, 4))
    block[216:220] = ((total & 0xFFFFFFFF) + (total >> 32)).to_bytes(4, "little")
    with disk.open("r+b") as file:
        file.seek(4096)
        file.write(block)


def make_gpt_with_data(disk: Path) -> None:
    told("sfdisk", "-q", str(disk), given=b"label: gpt\nstart=1MiB, size=20MiB\n")


def make_damaged_gpt(disk: Path) -> None:
    make_gpt_with_data(disk)
    with disk.open("r+b") as file:
        file.seek(512 + 16)
        file.write(b"\xff\xff\xff\xff")


DATA = {
    "ext4": (make_ext4, "ext4"),
    "dirty ext4": (make_dirty_ext4, "ext4 (not cleanly unmounted)"),
    "hibernated": (make_hibernated, "swap with a hibernated system in it"),
    "LVM": (make_physical_volume, "LVM physical volume"),
    "RAID": (make_raid_member, "member of a Linux RAID"),
    "GPT": (make_gpt_with_data, "partition table (gpt)"),
    "damaged GPT": (make_damaged_gpt, "partition table (gpt)"),
}


@pytest.mark.parametrize("kind", DATA)
def test_a_disk_with_data_is_left_alone_and_the_data_is_named(
    machine: InstallingMachine, server: FakeBootServer, kind: str
) -> None:
    make, expected = DATA[kind]
    disk = machine.add_disk("sda", 64)
    make(disk)
    before = digest(disk)
    assert machine.install(install_order(tar_image(server, small_system().bytes()))) == "exit code 82"
    stage, message = failure(server)
    assert stage == "guard"
    assert expected in message
    assert digest(disk) == before


@pytest.mark.parametrize("kind", ["LVM", "RAID", "damaged GPT", "hibernated"])
def test_with_wipe_the_same_disk_is_installed(machine: InstallingMachine, server: FakeBootServer, kind: str) -> None:
    disk = machine.add_disk()
    DATA[kind][0](disk)
    ending = machine.install(install_order(tar_image(server, small_system().bytes()), disk={"wipe": True}))
    assert ending == "kexec -e", machine.console
    assert mark_of(disk) is not None


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    machine: InstallingMachine, server: FakeBootServer
) -> None:
    disk = machine.add_disk("sda", 20)
    before = digest(disk)
    assert machine.install(install_order(tar_image(server, small_system().bytes()))) == "exit code 83"
    assert "the disk is too small: the partitions need 35 MiB; it has 20 MiB; nothing was written" in failure(server)[1]
    assert digest(disk) == before


def test_an_image_that_says_it_is_larger_than_the_disk_is_told_before_anything_is_written(
    machine: InstallingMachine, server: FakeBootServer
) -> None:
    disk = machine.add_disk("sda", 64)
    before = digest(disk)
    image = tar_image(server, small_system().bytes(), unpacked_size=1 << 30)
    assert machine.install(install_order(image)) == "exit code 83"
    assert "the image unpacks to 1024 MiB, and its partitions have 61" in failure(server)[1]
    assert digest(disk) == before


def marked_disk(machine: InstallingMachine, node_id: str = NODE_ID) -> Path:
    """A disk that an earlier install of this node has marked."""
    disk = machine.add_disk()
    script = f"label: gpt\nstart=1MiB, size=1MiB, type={MARK_PARTITION_TYPE}\nstart=2MiB\n"
    told("sfdisk", "-q", str(disk), given=script.encode())
    mark = Mark(
        node_id,
        "11111111-2222-4333-8444-555555555555",
        "dmi-product-serial",
        "SN-0042",
        "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        60,
    )
    with disk.open("r+b") as file:
        file.seek(1 << 20)
        file.write(mark.to_bytes())
    return disk


@dataclass(frozen=True)
class Fault:
    """An image that must not become a system: its bytes as served, what the order says otherwise, and how it fails."""

    stage: str
    words: str
    raw: bytes = RAW
    served: bytes | None = None
    said: dict[str, Json] = field(default_factory=dict)


FAULTS = {
    "other bytes": Fault("verify", "sha256 differs", served=pack(RAW, "zst")[:-1] + b"x"),
    "other size": Fault("verify", "size differs", served=pack(RAW, "zst") + b"more"),
    "too much inside": Fault("image", f"more than the {len(RAW) - 1} bytes", said={"unpacked_size": len(RAW) - 1}),
    "too little inside": Fault("image", f"unpacks to {len(RAW)} bytes", said={"unpacked_size": len(RAW) + 1}),
    "no such file": Fault("fetch", "HTTP 404", said={"urls": ["/nowhere"]}),
    "no archive": Fault("image", "it is no tar archive", raw=b"x" * 100_000),
    "cut archive": Fault("image", "it ends in the middle", raw=RAW[: len(RAW) // 2]),
    "a disk in it": Fault("image", "dev/sda: a block device", raw=small_system().device("dev/sda", b"4", 8, 0).bytes()),
    "out of it": Fault("image", "leads upwards", raw=small_system().file("../x", "y").bytes()),
    "too large": Fault("image", "the disk is full at big", raw=small_system().file("big", bytes(280 << 20)).bytes()),
}


def image_of(fault: Fault, server: FakeBootServer) -> dict[str, Json]:
    packed = pack(fault.raw, "zst")
    artifact = server.artifact(packed, unpacked_size=len(fault.raw))
    if fault.served is not None:
        server.on("GET", f"/artifacts/sha256/{artifact['sha256']}", Reply(200, fault.served))
    return {"kind": "tar", "compression": "zst", "artifact": {**artifact, **fault.said}}


@pytest.mark.parametrize("case", FAULTS)
def test_a_bad_image_leaves_the_disk_without_a_mark_and_the_next_try_succeeds(
    machine: InstallingMachine, server: FakeBootServer, case: str
) -> None:
    disk = marked_disk(machine)
    other = machine.add_disk("sdb", 64, "mmc")
    before = digest(other)
    fault = FAULTS[case]
    assert machine.install(install_order(image_of(fault, server))).startswith("exit code")
    found = failure(server)
    assert (found[0], fault.words in found[1]) == (fault.stage, True), found
    assert mark_of(disk) is None
    assert machine.install(install_order(tar_image(server, RAW + bytes(512)))) == "kexec -e", machine.console
    assert mark_of(disk) is not None
    assert digest(other) == before


# The last is larger than all pipes: its fetch is still at work when the filter gives up.
@pytest.mark.parametrize("served", [RAW, pack(RAW, "zst")[:-500], bytes(16 << 20)])
def test_what_does_not_unpack_is_told(machine: InstallingMachine, server: FakeBootServer, served: bytes) -> None:
    disk = marked_disk(machine)
    image: dict[str, Json] = {"kind": "tar", "compression": "zst", "artifact": server.artifact(served)}
    assert machine.install(install_order(image)) == "exit code 84"
    assert "the image does not unpack: exit code 1: " in failure(server)[1]
    assert mark_of(disk) is None


def test_a_broken_connection_is_taken_up_where_it_broke(machine: InstallingMachine, server: FakeBootServer) -> None:
    disk = machine.add_disk()
    raw = small_system().file("big", bytes(range(256)) * 8192).bytes()
    artifact = server.artifact(raw, Reply(200, raw, (("ETag", '"x"'),), cut_after=1_000_000))
    assert machine.install(install_order({"kind": "tar", "compression": "none", "artifact": artifact})) == "kexec -e"
    asked = server.asked(str(artifact["urls"][0]))  # type: ignore[index]
    assert [request.range_start for request in asked] == [None, 1_000_000]
    assert mark_of(disk) is not None


def test_a_server_that_begins_anew_is_not_written_twice(machine: InstallingMachine, server: FakeBootServer) -> None:
    machine.add_disk()
    raw = small_system().file("big", bytes(range(256)) * 8192).bytes()
    artifact = server.artifact(raw, Reply(200, raw, cut_after=1_000_000), Reply(200, raw))
    assert machine.install(install_order({"kind": "tar", "compression": "none", "artifact": artifact})) == "kexec -e"


def test_other_bytes_the_second_time_are_noticed(machine: InstallingMachine, server: FakeBootServer) -> None:
    disk = machine.add_disk()
    raw = small_system().file("big", bytes(range(256)) * 8192).bytes()
    artifact = server.artifact(raw, Reply(200, b"other" + raw[5:], cut_after=1_000_000), Reply(200, raw))
    assert machine.install(install_order({"kind": "tar", "compression": "none", "artifact": artifact})).startswith("exit code")
    assert mark_of(disk) is None


def test_a_server_that_is_gone_at_the_end_undoes_nothing(machine: InstallingMachine, server: FakeBootServer) -> None:
    disk = machine.add_disk()
    image = tar_image(server, small_system().bytes())
    server.on(
        "POST", f"/v1/boots/{BOOT_ID}/done", Reply(410, json.dumps({"title": "gone", "status": 410, "detail": "no"}).encode())
    )
    assert machine.install(install_order(image)) == "kexec -e"
    assert mark_of(disk) is not None
    assert "the mark on the disk tells it at the next boot" in machine.console


def test_a_system_that_does_not_start_at_once_is_installed_all_the_same(
    machine: InstallingMachine, server: FakeBootServer
) -> None:
    disk = machine.add_disk()
    machine.run.kexec.load_error = "kexec_load failed: Cannot allocate memory"
    assert machine.install(install_order(tar_image(server, RAW))) == "exit code 73"
    assert mark_of(disk) is not None
    assert len(server.asked(f"/v1/boots/{BOOT_ID}/done")) == 1
    assert server.asked(f"/v1/boots/{BOOT_ID}/failed") == []
    assert "after a reboot the loader starts it" in machine.console
