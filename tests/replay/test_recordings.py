"""Recordings that anybody may have made: what is no recording, lacks something or means harm is refused or does none."""

import gzip
import json
from pathlib import Path

import pytest

from bootpilot_agent import recording
from bootpilot_agent.recorded_http import Body, HttpLine
from bootpilot_agent.recording import Header, Timed
from bootpilot_agent.recording_lines import BlocksLine, FileKind, FileLine, Line
from bootpilot_agent.recording_room import Dropped, Room
from scripts.replaying.__main__ import main
from scripts.replaying.board_tree import BoardTree
from scripts.replaying.errors import ReplayError
from scripts.replaying.stand_ins import make_stand_ins
from scripts.replaying.tape_reading import read_tape
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.recordings import BOOT_ID, make_recording
from tests.replay.boots import KERNEL, record, replay


def packed(*lines: Line, dropped: str = "") -> bytes:
    room = Room()
    for number, line in enumerate(lines):
        room.add(line.kind, Timed(number, line).to_bytes())
    if dropped:
        room.dropped[dropped] = Dropped(7, 700)
    return recording.pack(Header(BOOT_ID, "0.1.0", "0123456789abcdef", "amd64", ("boot",), 0), room, 99)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no recording that can be read"),
        (b"#!/bin/sh\n", "no recording that can be read"),
        (gzip.compress(b'{"format": "other"}\n{}\n{}\n'), "is this a recording?"),
        (make_recording()[:200], "a whole gzip file"),
        (gzip.compress(gzip.decompress(make_recording()).replace(b"arm64", b"vax11")), "recorded on 'vax11', which is none of"),
        (packed(), "there is nothing in this recording"),
        (packed(FileLine("proc/cmdline", FileKind.FILE, b""), dropped="http"), "7 lines of the kind 'http' did not fit"),
        (packed(FileLine("proc/cmdline", FileKind.FILE, b""), dropped="file"), "the board is made of the files that were read"),
        (packed(FileLine("proc/cmdline", FileKind.FILE, b""), dropped="any"), "nobody knows what is missing"),
    ],
)
def test_what_cannot_be_replayed_says_why(raw: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ReplayError, match=words.replace("?", r"\?")):
        read_tape(raw)
    (tmp_path / "x.bootrec").write_bytes(raw)
    assert main([str(tmp_path / "x.bootrec")]) == 2
    assert f"not replayable: {'this is' if 'no rec' in words else ''}" in capsys.readouterr().err
    assert main([str(tmp_path / "x.bootrec"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["verdict"] == "not replayable"


def test_a_plan_that_is_too_large_to_be_recorded_is_said() -> None:
    plan = HttpLine(1, "eth0", "POST", "http://192.0.2.1/v1/boot", {}, Body(2, b"{}"), 200, answer=Body(70_000, None))
    with pytest.raises(ReplayError, match="the plan is too large to be kept"):
        read_tape(packed(plan))


def test_a_boot_that_failed_for_a_files_content_needs_that_file(tmp_path: Path) -> None:
    def truncated(server: FakeBootServer) -> None:
        server.offer(KERNEL[:10_000], b"initrd")

    (raw,) = record(tmp_path / "boot", truncated)
    tape = read_tape(raw)
    with pytest.raises(ReplayError, match=r"truncated: its header says .* kernel is not at hand") as caught:
        make_stand_ins(tape)
    assert "--artifacts FOLDER" in caught.value.hint
    (tmp_path / "files").mkdir()
    (tmp_path / "files/initrd").write_bytes(b"initrd")
    (tmp_path / "files/vmlinuz").write_bytes(KERNEL[:10_000])
    (tmp_path / "boot.bootrec").write_bytes(raw)
    assert main([str(tmp_path / "boot.bootrec"), "--artifacts", str(tmp_path / "files")]) == 0


def test_a_stage_that_the_boot_never_came_to_is_no_stage(tmp_path: Path) -> None:
    (raw,) = record(tmp_path)
    with pytest.raises(ReplayError, match="never came to 'payload-up'") as caught:
        read_tape(raw).cut("payload-up")
    assert caught.value.hint.startswith("it came to: started, load_drivers, read_settings")


HOSTILE = (
    FileLine("../../escaped", FileKind.FILE, b"x"),
    FileLine("sys/out", FileKind.LINK, target="/../../../../../tmp"),
    FileLine("sys/out/through-a-link", FileKind.FILE, b"x"),
    FileLine("sys/up", FileKind.LINK, target="../../../.."),
    FileLine("sys/up/escaped", FileKind.FILE, b"x"),
    FileLine("loop", FileKind.LINK, target="loop"),
    FileLine("loop/file", FileKind.FILE, b"x"),
    FileLine("ring/a", FileKind.LINK, target="b"),
    FileLine("ring/b", FileKind.LINK, target="a"),
    FileLine("ring/a/file", FileKind.FILE, b"x"),
    FileLine("nul\0byte/file", FileKind.FILE, b"x"),
    FileLine("nul\0byte", FileKind.FOLDER, names=("x",)),
    FileLine("long/" + 300 * "x", FileKind.FILE, b"x"),
    FileLine("no-target", FileKind.LINK, target="a\0b"),
    FileLine("both", FileKind.FILE, b"x"),
    FileLine("both/below", FileKind.FILE, b"x"),
    FileLine("sys", FileKind.FILE, b"x"),
    FileLine("sys/names", FileKind.FOLDER, names=("..", "../../escaped", "/etc", "", "a\0b", 300 * "y", "fine")),
    BlocksLine("../../escaped", 0, b"x"),
    BlocksLine("sda", 2**62, b"x"),
    BlocksLine("sdb", 1024, b"x"),
)


def test_no_path_of_a_recording_leads_out_of_its_tree(tmp_path: Path) -> None:
    root = tmp_path / "deep/deeper/root"
    tree = BoardTree(root, read_tape(packed(*HOSTILE)))
    tree.write()
    tree.follow(10**6)
    assert [path for path in tmp_path.rglob("*") if root not in path.parents and path not in (root, *root.parents)] == []
    assert all(path.resolve().is_relative_to(root) for path in root.rglob("*") if path.name not in ("loop", "a", "b"))
    assert (root / "escaped").read_bytes() == b"x"
    assert (root / "tmp/through-a-link").read_bytes() == b"x"
    assert (root / "sys/names/fine").is_dir()
    assert (root / "dev/sdb").stat().st_size == 1025
    assert not (root / "dev/sda").exists()


def test_the_board_changes_as_it_changed(tmp_path: Path) -> None:
    lines = (
        FileLine("sys/class/net/eth0", FileKind.LINK, target="../../devices/soc/net/eth0"),
        FileLine("sys/class/net/eth0/carrier", FileKind.FILE, b"0\n"),
        FileLine("sys/class/net", FileKind.FOLDER, names=("eth0", "lo")),
        FileLine("sys/class/net/eth0/carrier", FileKind.FILE, b"1\n"),
        FileLine("sys/class/net", FileKind.FOLDER, names=("eth1", "eth0")),
    )
    tree = BoardTree(tmp_path, read_tape(packed(*lines)))
    tree.write()
    carrier, folder = tmp_path / "sys/devices/soc/net/eth0/carrier", tmp_path / "sys/class/net"
    assert carrier.read_bytes() == b"0\n"
    assert {path.name for path in folder.iterdir()} == {"eth0", "lo"}
    tree.follow(3)
    assert carrier.read_bytes() == b"1\n"
    tree.follow(4)
    assert {path.name for path in folder.iterdir()} == {"eth0", "eth1"}


def test_a_recording_of_a_boot_with_secrets_is_replayed_without_them(tmp_path: Path) -> None:
    secret = b"d-i passwd/root-password password c4n4ry-pa55\n"

    def with_secrets(server: FakeBootServer) -> None:
        server.boot["files"] = [server.file("/preseed.cfg", secret, 0o600)]

    (raw,) = record(tmp_path, with_secrets)
    verdict, performed = replay(raw)
    assert verdict.differences == ()
    asked = b"".join(met.asked.body + str(met.asked).encode() for met in performed.met)
    assert b"c4n4ry" not in asked + performed.console.encode()
    assert b"token-of-this-boot" not in asked + gzip.decompress(raw)
