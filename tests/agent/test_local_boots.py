"""Whole boots from the board's own disk, as a server's plan says."""

import gzip
import hashlib
import json
import subprocess
import zlib
from pathlib import Path

import pytest

from bootpilot_agent.events import EventName
from bootpilot_agent.fields import Json
from bootpilot_agent.inventory import Transport
from bootpilot_agent.local_boot import Find, LocalBoot
from bootpilot_agent.mark import HEADER, MAGIC
from tests.fakes.board import FakeBoard
from tests.fakes.boot_files import lay_out, put
from tests.fakes.boot_server import TOKEN, FakeBootServer
from tests.fakes.device_trees import compiled
from tests.fakes.disks import (
    BOOT_UUID,
    INSTALL,
    LUKS,
    ROOT_PARTUUID,
    ROOT_UUID,
    SERIAL,
    Part,
    add_disk,
    make_mark,
    mark_part,
)  # fmt: skip
from tests.fakes.kernels import arm64_image, bzimage, device_tree, zimage
from tests.fakes.wrapped_kernels import zboot

CMDLINE = f"root=PARTUUID={ROOT_PARTUUID} ro console=ttyAMA0"


def system(folder: Path, kernel: bytes, command_line: str = CMDLINE) -> Path:
    """What bootpilot-install leaves: kernels by version and their command line."""
    put(folder, "/boot/vmlinuz-6.1.0-9-arm64", "an old one")
    put(folder, "/boot/vmlinuz-6.1.0-21-arm64", kernel)
    put(folder, "/boot/initrd.img-6.1.0-21-arm64", "its initrd")
    if command_line:
        put(folder, "/etc/kernel/cmdline", command_line + "\n")
    put(folder, "/etc/os-release", "ID=debian\n")
    return folder


def offer_local(server: FakeBootServer, find: Find = Find.MARK, partition: str = "", install_id: str | None = INSTALL) -> None:
    local = LocalBoot(find, partition, profile="lamp")
    plan: dict[str, Json] = {"action": "local", "local": local.to_json(), "requires": ["local"], "install_id": install_id}
    server.on("POST", "/v1/boot", lambda request: server.reply(request, plan))


def make_board(tmp_path: Path, server: FakeBootServer, arch: str = "arm64", card: bytes | None = None) -> FakeBoard:
    return FakeBoard(tmp_path / "board", arch=arch, servers=(server.url,), serial=SERIAL, card_text=card)


def root_part(folder: Path) -> Part:
    return Part(folder, partuuid=ROOT_PARTUUID, name="the root")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_system_of_the_mark_is_started_with_what_it_is_told(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server, card=b"")
    image = add_disk(board, "sda", mark_part(make_mark()), root_part(system(tmp_path / "system", arm64_image())))
    before = digest(image), digest(board.root / "dev/sda2")
    offer_local(server)
    assert board.boot().how == "kexec -e", board.console
    loaded = board.run.loaded
    assert loaded is not None
    assert (loaded.kernel, loaded.command_line) == (arm64_image(), CMDLINE)
    assert loaded.initrd.startswith(b"its initrd" + b"\0\0" + b"070701")
    assert (loaded.note["token"], loaded.note["install_id"], loaded.note["profile"]) == (TOKEN, INSTALL, "lamp")
    assert board.network.is_down
    assert server.events()[-4:] == [EventName.IDENTIFIED, EventName.PLANNED, EventName.LOADED, EventName.HANDOVER]
    (disk,) = server.reports[0].inventory.disks
    assert disk.mark == make_mark()
    assert (digest(image), digest(board.root / "dev/sda2")) == before
    options = [argv[4] for argv in board.run.commands if argv[0] == "mount"]
    assert options == ["ro,noload,nosuid,nodev,noexec"]
    steps = [argv[0] for argv in board.run.commands if argv[0] in ("mount", "umount", "kexec")]
    assert steps == ["mount", "umount", "kexec", "kexec"]


@pytest.mark.parametrize(
    ("arch", "packed", "bare"),
    [
        ("amd64", bzimage(), bzimage()),
        ("arm64", gzip.compress(arm64_image()), arm64_image()),
        ("arm64", zboot(gzip.compress(arm64_image())), arm64_image()),
        ("arm64", zboot(arm64_image(), b""), arm64_image()),
    ],
    ids=["bzImage", "gzip", "zboot", "zboot of a bare image"],
)
def test_kernels_are_unpacked(arch: str, packed: bytes, bare: bytes, server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server, arch)
    add_disk(board, "sda", root_part(system(tmp_path / "system", packed)))
    offer_local(server, Find.LOOKING)
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    assert board.run.loaded.kernel == bare


@pytest.mark.parametrize(
    "name", [f"PARTUUID={ROOT_PARTUUID}", f"UUID={ROOT_UUID}", f"UUID={ROOT_UUID.upper()}", "PARTLABEL=data2"]
)
def test_a_partition_is_found_by_its_name(name: str, server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    folder = system(tmp_path / "system", arm64_image(), command_line="")
    add_disk(board, "sda", Part(b"", name="data1"), Part(folder, partuuid=ROOT_PARTUUID, name="data2"))
    offer_local(server, Find.PARTITION, name)
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    # The loader's own console, where the system has no command line of its own.
    assert board.run.loaded.command_line == f"root=PARTUUID={ROOT_PARTUUID} ro console=ttyS0"


def test_a_boot_partition_is_found_by_the_systems_fstab(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    folder = lay_out("debian-grub-saved-boot-partition", tmp_path / "system", arm64_image())
    boot = (folder / "boot").rename(tmp_path / "boot")
    (folder / "boot").mkdir()
    add_disk(board, "sda", Part(boot, uuid=BOOT_UUID), mark_part(make_mark()), root_part(folder))
    offer_local(server)
    assert board.boot().how == "kexec -e", board.console
    assert "/vmlinuz-6.1.0-9-arm64" in board.console
    assert board.run.loaded is not None
    assert board.run.loaded.initrd.startswith(b"boot/initrd.img-6.1.0-9-arm64\n")


def test_what_is_broken_falls_to_what_comes_next_and_says_so(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    folder = lay_out("debian-grub", tmp_path / "system", arm64_image())
    labels = "label a\n linux /boot/gone\nlabel b\n linux /../../etc/passwd\nlabel c\n linux /out\nlabel d\n linux /boot/tiny\n"
    put(folder, "/boot/extlinux/extlinux.conf", labels)
    put(folder, "/boot/tiny", bzimage())
    (folder / "out").symlink_to("../../etc/passwd")
    add_disk(board, "sda", root_part(folder))
    offer_local(server, Find.LOOKING)
    assert board.boot().how == "kexec -e", board.console
    for words in (
        "label a: /boot/gone on sda1: No such file or directory; trying what comes next",
        "label b: /../../etc/passwd on sda1: leads out of its partition",
        "label c: /out on sda1: leads out of its partition",
        "label d: kernel: arm64 Image expected, got amd64 bzImage",
        "disk: /boot/grub/grub.cfg: 'Debian GNU/Linux' on sda1: /boot/vmlinuz-6.1.0-21-arm64",
    ):
        assert words in board.console


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([], "there is no disk but the card"),
        ([Part(b"")], "sda1 holds nothing that is known"),
        ([Part(b""), Part(b"")], "no partition with a file system that is known"),
        ([Part(LUKS), Part(b"")], "sda1 holds an encrypted volume (LUKS), which is not supported"),
    ],
    ids=["no disk", "empty", "empty ones", "encrypted"],
)
def test_a_disk_without_a_system_is_a_failure_that_the_server_hears_of(
    parts: list[Part], words: str, server: FakeBootServer, tmp_path: Path
) -> None:
    board = make_board(tmp_path, server)
    if parts:
        add_disk(board, "sda", *parts)
    offer_local(server, Find.LOOKING)
    assert board.boot().exit_code == 76
    assert words in board.console
    assert server.events()[-1] is EventName.FAILED


OTHER = "00000000-0000-4000-8000-0000000000ff"


def test_a_mark_of_another_install_than_the_plans_is_not_started(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    add_disk(board, "sda", mark_part(make_mark(install_id=OTHER)), root_part(system(tmp_path / "system", arm64_image())))
    offer_local(server)
    assert board.boot().exit_code == 76
    assert f"the mark of install {INSTALL} expected, found: sda: {OTHER}" in board.console


def test_a_copy_of_the_disk_makes_the_mark_mean_nothing(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    folder = system(tmp_path / "system", arm64_image())
    for name in ("sda", "sdb"):
        add_disk(board, name, mark_part(make_mark()), root_part(folder))
    offer_local(server)
    assert board.boot().exit_code == 76
    assert "expected once, found 2 times" in board.console


def from_the_future() -> bytes:
    """Whole, and of a version that this agent does not know."""
    body = json.dumps({**make_mark().to_json(), "version": 2}).encode()
    return HEADER.pack(MAGIC, len(body), zlib.crc32(body)) + body


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (make_mark().to_bytes()[:-1] + b"!", "sda1: its mark does not count: mark: expected"),
        (make_mark().to_bytes()[:20], "sda1: its mark does not count"),
        (from_the_future(), "sda1: its mark does not count: version: expected protocol version 1, got 2"),
        (bytes(8192), "found: no valid mark on any disk"),
    ],
    ids=["wrong checksum", "cut off", "from the future", "destroyed"],
)
def test_a_damaged_mark_is_named_and_is_none(raw: bytes, words: str, server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    add_disk(board, "sda", mark_part(raw), root_part(system(tmp_path / "system", arm64_image())))
    offer_local(server)
    assert board.boot().exit_code == 76
    assert words in board.console
    assert server.reports[0].inventory.disks[0].mark is None


def test_a_damaged_partition_table_is_a_disk_without_a_mark(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    image = add_disk(board, "sda", mark_part(make_mark()), root_part(system(tmp_path / "system", arm64_image())))
    whole = image.read_bytes()
    image.write_bytes(whole[:512] + b"EFI PART" + bytes(1000) + whole[1520:-512] + bytes(512))
    offer_local(server)
    assert board.boot().exit_code == 76
    assert "no valid mark on any disk" in board.console


def test_the_file_of_a_disk_that_another_installer_laid_out_is_a_mark(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    folder = system(tmp_path / "system", arm64_image())
    put(folder, "/etc/bootpilot/installed.json", json.dumps(make_mark().to_json()))
    add_disk(board, "sda", Part(b""), root_part(folder))
    offer_local(server)
    assert board.boot().how == "kexec -e", board.console
    assert server.reports[0].inventory.disks[0].mark == make_mark()
    assert (
        f"sda: the mark of install {INSTALL} in /etc/bootpilot/installed.json on sda2, started never without" in board.console
    )


def test_neither_the_card_nor_its_copy_is_ever_looked_at(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server, card=b"")
    folder = system(tmp_path / "system", arm64_image())
    for name in ("mmcblk0", "sda"):
        image = add_disk(board, name, mark_part(make_mark()), root_part(folder))
        # An MBR whose first partition has the card's PARTUUID, as fake cards have it: 0000abcd-01.
        subprocess.run(["sfdisk", "-q", image], input="label: dos\nlabel-id: 0x0000abcd\nstart=2048\n", text=True, check=True)
    offer_local(server, Find.LOOKING)
    assert board.boot().exit_code == 76
    assert "there is no disk but the card" in board.console
    assert [argv for argv in board.run.commands if argv[0] in ("mount", "blkid")] == []
    assert all(disk.boot_medium for disk in server.reports[0].inventory.disks)
    assert {disk.transport for disk in server.reports[0].inventory.disks} == {Transport.OTHER}


def board_with_trees(tmp_path: Path, server: FakeBootServer) -> FakeBoard:
    """An Orange Pi PC with the tree that its firmware passed."""
    names = "xunlong,orangepi-pc\0allwinner,sun8i-h3"
    board = FakeBoard(tmp_path / "board", arch="armhf", servers=(server.url,), serial=SERIAL, compatible=names)
    put(board.root, "/sys/firmware/fdt", compiled("orangepi-pc-running"))
    return board


@pytest.mark.parametrize("line", ["fdt /boot/dtbs/sun8i-h3-orangepi-pc.dtb", "fdtdir /boot/dtbs"])
def test_the_tree_that_belongs_to_the_kernel_becomes_this_boards_own(line: str, server: FakeBootServer, tmp_path: Path) -> None:
    board = board_with_trees(tmp_path, server)
    folder = tmp_path / "system"
    put(folder, "/boot/zImage", zimage())
    put(folder, "/boot/dtbs/sun8i-h3-orangepi-pc.dtb", compiled("orangepi-pc-plan"))
    put(folder, "/boot/dtbs/another.dtb", device_tree())
    put(folder, "/boot/extlinux/extlinux.conf", f"label x\n linux ../zImage\n append ro\n {line}\n")
    add_disk(board, "sda", root_part(folder))
    offer_local(server, Find.LOOKING)
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    assert board.run.loaded.dtb is not None
    assert b"cpu_on\0" in board.run.loaded.dtb
    assert b"cpu_on\0" not in compiled("orangepi-pc-plan")
    assert "device tree: the disk's, with memory, addresses and identity of the running one" in board.console


def test_where_the_folder_has_no_tree_for_this_board_it_keeps_the_running_one(server: FakeBootServer, tmp_path: Path) -> None:
    board = board_with_trees(tmp_path, server)
    folder = tmp_path / "system"
    put(folder, "/boot/zImage", zimage())
    put(folder, "/boot/dtbs/vendor/another.dtb", device_tree())
    put(folder, "/boot/extlinux/extlinux.conf", "label x\n linux ../zImage\n append ro\n fdtdir ../dtbs\n")
    add_disk(board, "sda", root_part(folder))
    offer_local(server, Find.LOOKING)
    assert board.boot().how == "kexec -e", board.console
    assert board.run.loaded is not None
    assert board.run.loaded.dtb is None
    assert "no device tree for this board in /boot/extlinux/../dtbs, so the running one" in board.console


def test_an_entry_whose_files_are_on_another_file_system_is_refused(server: FakeBootServer, tmp_path: Path) -> None:
    board = make_board(tmp_path, server)
    folder = lay_out("debian-grub", tmp_path / "system", arm64_image())
    add_disk(board, "sda", Part(folder, uuid=BOOT_UUID, partuuid=ROOT_PARTUUID))
    offer_local(server, Find.LOOKING)
    assert board.boot().how == "kexec -e", board.console
    assert f"its files are on the file system {ROOT_UUID}, not on sda1 ({BOOT_UUID}); trying what comes next" in board.console
    assert "disk: /boot/vmlinuz-6.1.0-21-arm64 on sda1" in board.console
