"""scripts/capture-board: what it packs of a board tells the agent the same, fits, and holds nobody's secrets."""

import gzip
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bootpilot_agent.disks import partitions_of
from bootpilot_agent.hardware import read_inventory
from bootpilot_agent.identity import read_evidence
from scripts.capturing.__main__ import main
from scripts.capturing.archive import read_archive
from scripts.capturing.tree import expected, write_root
from tests.capturing.board_shell import CHECKOUT, SCRIPT, capture, furnish

BOARDS = CHECKOUT / "tests/data/boards"
NAMES = sorted(path.name for path in BOARDS.iterdir())
CANARY = "c4n4ry"


def board(name: str, folder: Path) -> Path:
    """A root with the board's files and busybox."""
    root = Path(shutil.copytree(BOARDS / name / "root", folder / "root", symlinks=True))
    furnish(root)
    return root


def tree_of(raw: bytes, folder: Path) -> Path:
    write_root(read_archive(raw), folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_captured_board_tells_the_agent_what_the_board_itself_does(name: str, tmp_path: Path) -> None:
    tree = tree_of(capture(board(name, tmp_path)), tmp_path / "tree")
    known = json.loads((BOARDS / name / "expected.json").read_text())
    assert json.loads(json.dumps(expected(tree, known["card_partuuid"]))) == known


def test_this_machine_is_captured_as_the_agent_reads_it(tmp_path: Path) -> None:
    packed = tmp_path / "board.tar.gz"
    subprocess.run(["busybox", "sh", SCRIPT, packed], check=True, timeout=300, capture_output=True)
    tree = tree_of(packed.read_bytes(), tmp_path / "tree")
    assert read_evidence(tree) == read_evidence()
    # What the kernel lets this process do is asked of the kernel itself, which no tree can tell.
    assert replace(read_inventory(tree), kexec=read_inventory().kexec) == read_inventory()


def secret_board(folder: Path) -> Path:
    """Somebody's board, with what must stay theirs wherever it could stand."""
    root = board("raspberrypi-4", folder)
    words = (
        f'console=ttyS0 wpa_psk={CANARY}1 luks.passphrase="{CANARY}2 {CANARY}3" ip=10.0.0.2::10.0.0.1:255.0.0.0:{CANARY}4:eth0'
    )
    words += f" bootpilot.server=http://me:{CANARY}5@10.0.0.1 BOOTPILOT.ENROL=batch:{CANARY}6 systemd.hostname={CANARY}7"
    words += " root=/dev/mmcblk0p2"
    (root / "proc/cmdline").write_text(words + "\n")
    (root / "proc/version").write_text(f"Linux version 6.1.0 ({CANARY}@workstation) (gcc)\n")
    base = root / "sys/firmware/devicetree/base"
    (base / "chosen").mkdir()
    (base / "chosen/bootargs").write_bytes(words.encode() + b"\0")
    (base / "chosen/rng-seed").write_bytes(CANARY.encode())
    (root / "sys/firmware/fdt").write_bytes(b"\xd0\x0d\xfe\xed" + words.encode())
    net = root / "sys/devices/platform/mmcnr/net/wlan0"
    (net / "wireless").mkdir(parents=True)
    for name, text in (("type", "1"), ("address", f"{CANARY}"), ("uevent", f"INTERFACE=wlan0\nHID_NAME={CANARY}")):
        (net / name).write_text(text + "\n")
    (root / "sys/class/net/wlan0").symlink_to("../../devices/platform/mmcnr/net/wlan0")
    for path in ("root/.ssh/id_ed25519", "etc/hostname", "etc/wpa_supplicant.conf", "sys/block/dm-0/dm/name", "proc/mounts"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(CANARY)
    return root


def test_secrets_and_names_do_not_get_in(tmp_path: Path) -> None:
    packed = capture(secret_board(tmp_path))
    assert CANARY.encode() not in gzip.decompress(packed)
    tree = tree_of(packed, tmp_path / "tree")
    words = (tree / "proc/cmdline").read_text()
    assert words.startswith(
        "console=ttyS0 wpa_psk=REDACTED luks.passphrase=REDACTED ip=10.0.0.2::10.0.0.1:255.0.0.0:REDACTED:eth0 "
    )
    assert words.endswith("systemd.hostname=REDACTED root=/dev/mmcblk0p2\n")
    assert (tree / "sys/firmware/devicetree/base/chosen/bootargs").read_bytes() == words.strip().encode() + b"\0"
    assert (tree / "proc/version").read_text() == "Linux version 6.1.0 (REDACTED) (gcc)\n"
    assert not (tree / "sys/firmware/fdt").exists()
    assert "wlan0" not in [nic.name for nic in read_inventory(tree).nics]


def test_a_device_tree_without_secrets_is_packed_as_firmware_passed_it(tmp_path: Path) -> None:
    """And without those that the kernel has wiped."""
    root = board("raspberrypi-4", tmp_path)
    (root / "sys/firmware/fdt").write_bytes(bytes(range(256)) * 300)
    (root / "sys/firmware/devicetree/base/chosen").mkdir()
    (root / "sys/firmware/devicetree/base/chosen/kaslr-seed").write_bytes(bytes(8))
    tree = tree_of(capture(root), tmp_path / "tree")
    assert (tree / "sys/firmware/fdt").read_bytes() == bytes(range(256)) * 300


@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_partitions_keep_their_ids_and_lose_their_names(sector_bytes: int, tmp_path: Path) -> None:
    root = board("cubieboard", tmp_path)
    disk = root / "dev/sda"
    disk.unlink(missing_ok=True)
    with disk.open("wb") as stream:
        stream.truncate(64 << 20)
    script = f'label: gpt\nsize=8MiB, name="{CANARY}"\nsize=8MiB, name="{CANARY}-too"\n'
    subprocess.run(["sfdisk", "--quiet", str(disk)], input=script, text=True, check=True, timeout=60)
    if sector_bytes > 512:
        # The same table as a disk with large sectors has it: each part at the beginning of a sector of its own.
        raw = disk.read_bytes()
        parts = (raw[:512], raw[512:1024], raw[1024 : 1024 + 128 * 128])
        disk.write_bytes(b"".join(part.ljust(sector_bytes, b"\0") for part in parts).ljust(64 << 20, b"\0"))
    (root / "sys/block/sda/size").write_text(f"{(64 << 20) // 512}\n")
    (root / "sys/block/sda/queue/logical_block_size").write_text(f"{sector_bytes}\n")
    wanted = [replace(partition, label="") for partition in partitions_of("sda", root)]
    assert len(wanted) == 2
    packed = capture(root)
    assert CANARY.encode("utf-16-le") not in gzip.decompress(packed)
    assert list(partitions_of("sda", tree_of(packed, tmp_path / "tree"))) == wanted


def test_a_description_that_would_be_too_large_is_not_packed(tmp_path: Path) -> None:
    root = board("cubieboard", tmp_path)
    text = (root / "capture-board").read_text()
    (root / "capture-board").write_text(text.replace("most_packed=8388608", "most_packed=100"))
    with pytest.raises(AssertionError, match="larger than 100 bytes"):
        capture(root)
    assert not (root / "out/board.tar.gz").exists()
    assert list((root / "tmp").iterdir()) == []


def test_the_command_makes_a_whole_tree_and_never_writes_over_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "board.tar.gz"
    packed.write_bytes(capture(board("orangepi-pc", tmp_path)))
    partuuid = json.loads((BOARDS / "orangepi-pc/expected.json").read_text())["card_partuuid"]
    argv = [str(packed), str(tmp_path / "made"), "--card-partuuid", partuuid]
    assert main(argv) == 0
    assert json.loads((tmp_path / "made/expected.json").read_text()) == json.loads(
        (BOARDS / "orangepi-pc/expected.json").read_text()
    )
    assert "Captured on a real machine" in (tmp_path / "made/README").read_text()
    assert main(argv) == 1
    assert "is there already" in capsys.readouterr().err
