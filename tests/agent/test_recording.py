"""Recordings as files: written within their limits, read back as they were, and refused by name where they are not whole."""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpilot_agent import recording
from bootpilot_agent.fields import FieldError, Json
from bootpilot_agent.recorded_http import Body, HttpLine
from bootpilot_agent.recording import Header, Timed
from bootpilot_agent.recording_lines import (
    BlocksLine,
    ClockLine,
    DhcpLine,
    EventLine,
    FileKind,
    FileLine,
    KexecLine,
    Line,
    RunLine,
    SayLine,
    StepLine,
    UeventLine,
)
from bootpilot_agent.recording_room import KEEPING, MAX_PLAIN_BYTES, Dropped, Room

BOOT_ID = "0b9a3a1e-8a54-4a6e-9d1c-0123456789ab"
HEADER = Header(BOOT_ID, "0.1.0", "0123456789abcdef", "arm64", ("boot", "wait"), 1500)
EXCHANGE = HttpLine(
    connection=1,
    interface="eth0",
    method="POST",
    url="http://192.0.2.1/v1/boot",
    headers={"Content-Type": "application/json"},
    body=Body(2, b"{}"),
    status=200,
    answer_headers={"content-type": "application/json"},
    answer=Body(4, b"\xff{}\n"),
    marks=((12, 0), (15, 4)),
    ms=16,
)
LINES: tuple[Line, ...] = (
    FileLine("proc/cmdline", FileKind.FILE, b"console=ttyS0\n"),
    FileLine("sys/firmware/fdt", FileKind.FILE, b"\xd0\x0d\xfe\xed\x00"),
    FileLine("sys/block", FileKind.FOLDER, names=("mmcblk0", "sda")),
    FileLine("sys/class/net/eth0/device/driver", FileKind.LINK, target="../../bus/smc911x"),
    FileLine("sys/class/dmi/id/product_uuid", FileKind.NOTHING),
    BlocksLine("mmcblk0", 512, bytes(range(256))),
    UeventLine({"ACTION": "add", "MODALIAS": "usb:v0BDAp8152"}),
    DhcpLine("eth0", "event=bound\0ip=192.0.2.7\0\xff"),
    RunLine(("modprobe", "-a", "x"), 0, "", "trouble\n"),
    RunLine(("ip", "link"), None, "", "still running"),
    ClockLine(-5),
    ClockLine(None),
    ClockLine(1_700_000_000, corrected=True),
    EXCHANGE,
    HttpLine(2, "", "GET", "http://192.0.2.1/v1/", {}, Body(), None, error="connection refused"),
    HttpLine(1, "eth0", "GET", "/a", {}, Body(), 206, {}, Body(1 << 33, None, "ab" * 32), "reset", ((1, 2),), 3),
    EventLine("planned", {"action": "boot", "deep": [1, {"x": None}]}),
    StepLine("find_server"),
    StepLine("find_server", 812, "network: no server", "nothing"),
    SayLine("two\nlines \u202e and \U0001f600"),
    KexecLine("load", "console=ttyS0", {"kernel": "cd" * 32}),
)


def packed(*lines: Line, room: Room | None = None) -> bytes:
    room = room or Room()
    for number, line in enumerate(lines):
        room.add(line.kind, Timed(2000 + number, line).to_bytes())
    return recording.pack(HEADER, room, 9000)


def plain(*values: Json, end: str = "\n") -> bytes:
    """A file of these lines, whatever they are."""
    return gzip.compress(("\n".join(json.dumps(value) for value in values) + end).encode())


def test_every_kind_of_line_is_read_back_as_it_was_written() -> None:
    assert {line.kind for line in LINES} == set(recording.READERS)
    found = recording.read(packed(*LINES))
    assert found.header == HEADER
    assert tuple(timed.line for timed in found.lines) == LINES
    assert [timed.t_ms for timed in found.lines] == list(range(2000, 2000 + len(LINES)))
    assert (found.ended_ms, found.dropped) == (9000, {})


def test_a_recording_is_a_gzip_file_of_json_lines_that_any_tool_reads() -> None:
    lines = gzip.decompress(packed(*LINES)).decode("ascii").splitlines()
    assert json.loads(lines[0]) == {"format": "bootpilot-recording", "version": 1, **json.loads(lines[0])}
    assert json.loads(lines[1]) == {"t": 2000, "k": "file", "path": "proc/cmdline", "kind": "file", "text": "console=ttyS0\n"}
    assert json.loads(lines[-1]) == {"t": 9000, "k": "end", "dropped": {}}


def test_what_a_newer_agent_adds_is_passed_over() -> None:
    header: Json = {**HEADER.to_json(), "mood": "fine"}
    found = recording.read(
        plain(
            header,
            {"t": 1, "k": "weather"},
            {"t": 2, "k": "say", "text": "x", "loud": True},
            {"t": 3, "k": "end", "dropped": {}},
        )
    )
    assert found.lines == (Timed(2, SayLine("x")),)


END: Json = {"t": 3, "k": "end", "dropped": {}}


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: b"", "recording"),
        (lambda: b"no gzip at all", "recording"),
        (lambda: packed(*LINES)[:-9], "recording"),
        (lambda: packed(*LINES) + b"x", "recording"),
        (lambda: packed() + packed(), "recording"),
        (lambda: b"\x1f\x8b" + bytes(recording.MAX_PACKED_BYTES), "recording"),
        (lambda: gzip.compress(bytes(MAX_PLAIN_BYTES + 1)), "recording"),
        (lambda: gzip.compress(b"\n" * (recording.MAX_LINES + 10)), "recording"),
        (lambda: plain(HEADER.to_json(), END, END, end=""), "recording"),
        (lambda: plain({**HEADER.to_json(), "format": "har"}, END), "header.format"),
        (lambda: plain({**HEADER.to_json(), "version": 2}, END), "header.version"),
        (lambda: plain({**HEADER.to_json(), "boot_id": "x"}, END), "header.boot_id"),
        (lambda: plain([], END), "header"),
        (lambda: plain(HEADER.to_json(), {"t": 1, "k": "say", "text": "x"}, {"t": 1, "k": "say", "text": "x"}), "line 3.k"),
        (lambda: plain(HEADER.to_json(), {"t": -1, "k": "say", "text": "x"}, END), "line 2.t"),
        (lambda: plain(HEADER.to_json(), {"t": 1, "k": "say", "text": 7}, END), "line 2.text"),
        (lambda: plain(HEADER.to_json(), {"t": 1, "k": "say", "text": "\ud800"}, END), "line 2.text"),
        (lambda: plain(HEADER.to_json(), {"t": 1, "k": "file", "path": "x", "kind": "file", "b64": "?"}, END), "line 2.b64"),
        (lambda: plain(HEADER.to_json(), {"t": 1, "k": "file", "path": "x", "kind": "socket"}, END), "line 2.kind"),
        (lambda: plain(HEADER.to_json(), {"t": 1, "k": "dhcp", "interface": "eth0"}, END), "line 2.text"),
        (
            lambda: plain(HEADER.to_json(), {**Timed(1, EXCHANGE).line.to_json(), "t": 1, "k": "http", "at": [[1]]}, END),
            "line 2.at[0]",
        ),
        (lambda: plain(HEADER.to_json(), {"t": 1, "k": "end", "dropped": {"say": 4}}), "line 2.dropped.say"),
        (lambda: gzip.compress(json.dumps(HEADER.to_json()).encode() + b'\n{"t":1,"k":"say"\n{}\n'), "line 2"),
        (lambda: gzip.compress(json.dumps(HEADER.to_json()).encode() + b"\n" + b"[" * 5000 + b"\n{}\n"), "line 2"),
    ],
)
def test_what_is_no_whole_recording_is_refused_by_the_field_that_is_wrong(make: Callable[[], bytes], field: str) -> None:
    with pytest.raises(FieldError) as raised:
        recording.read(make())
    assert raised.value.field == field


def test_a_bomb_is_never_unpacked_further_than_the_limit() -> None:
    bomb = gzip.compress(bytes(600 << 20), 9)
    assert len(bomb) < recording.MAX_PACKED_BYTES
    with pytest.raises(FieldError, match="when unpacked"):
        recording.unpack(bomb)


def test_more_than_the_room_is_dropped_kind_by_kind_and_the_last_line_says_so() -> None:
    room = Room(limit_bytes=200_000)
    for number in range(2000):
        room.add("say", Timed(number, SayLine(f"word {number}")).to_bytes())
        if number % 10 == 0:
            room.add("http", Timed(number, EXCHANGE).to_bytes())
    found = recording.read(recording.pack(HEADER, room, 9000))
    words = [timed.line.text for timed in found.lines if isinstance(timed.line, SayLine)]
    assert words[:100] == [f"word {number}" for number in range(100)]
    assert words[-1] == "word 1999"
    assert sum(isinstance(timed.line, HttpLine) for timed in found.lines) == 200
    assert set(found.dropped) == {"say"}
    assert found.dropped["say"].lines == 2000 - len(words)
    assert room.taken_bytes <= 200_000


def test_the_requests_are_the_last_to_go() -> None:
    room = Room(limit_bytes=50_000)
    for number in range(500):
        for line in LINES:
            room.add(line.kind, Timed(number, line).to_bytes())
    room.shrink(12_000)
    assert {json.loads(line)["k"] for line in room.lines()} == {"http", "kexec"}


def test_what_does_not_pack_is_dropped_until_it_fits() -> None:
    chance = random.Random(7)  # noqa: S311
    room = Room()
    for number in range(28):
        room.add("file", Timed(number, FileLine(f"sys/{number}", FileKind.FILE, chance.randbytes(100_000))).to_bytes())
    raw = recording.pack(HEADER, room, 9000)
    assert len(raw) <= recording.MAX_PACKED_BYTES
    found = recording.read(raw)
    assert len(found.lines) + found.dropped["file"].lines == 28
    assert len(found.lines) > 5


def test_the_next_boot_of_an_agent_begins_with_what_the_board_is() -> None:
    room = Room()
    for line in LINES:
        room.add(line.kind, Timed(1, line).to_bytes())
    room.count_dropped("say", 10)
    room.count_dropped("file", 20)
    room.begin()
    kinds = {json.loads(line)["k"] for line in room.lines()}
    assert kinds == {"file", "blocks", "uevent", "dhcp", "run", "clock"}
    assert room.dropped == {"file": Dropped(1, 20)}
    room.shrink(0)
    assert room.lines() == []
    assert room.taken_bytes == 0


def test_every_kind_has_its_place_in_the_order_of_dropping_and_a_reason() -> None:
    assert {row.kind for row in KEEPING} == set(recording.READERS)
    assert all(row.reason for row in KEEPING)


TEXT = st.text(max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
BODY = st.builds(lambda content: Body(len(content), content), st.binary(max_size=40)) | st.builds(
    lambda size, digest: Body(size, None, digest), st.integers(0, 1 << 50), st.just("") | st.just("ab" * 32)
)
HEADERS = st.dictionaries(TEXT, TEXT, max_size=4)
ANY_LINE: st.SearchStrategy[Line] = st.one_of(
    st.builds(FileLine, TEXT, st.just(FileKind.FILE), st.binary(max_size=80)),
    st.builds(lambda path, names: FileLine(path, FileKind.FOLDER, names=tuple(names)), TEXT, st.lists(TEXT, max_size=5)),
    st.builds(BlocksLine, TEXT, st.integers(0, 2**60), st.binary(max_size=80)),
    st.builds(UeventLine, HEADERS),
    st.builds(DhcpLine, TEXT, st.binary(max_size=80).map(lambda raw: raw.decode("latin-1"))),
    st.builds(RunLine, st.lists(TEXT).map(tuple), st.none() | st.integers(-9, 255), TEXT, TEXT),
    st.builds(EventLine, TEXT, st.dictionaries(TEXT, JSON, max_size=3)),
    st.builds(SayLine, TEXT),
    st.builds(KexecLine, TEXT, TEXT, HEADERS),
    st.builds(
        HttpLine,
        st.integers(0, 99), TEXT, st.sampled_from(["GET", "POST"]), TEXT, HEADERS, BODY, st.none() | st.integers(100, 999),
        HEADERS, BODY, TEXT, st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=4).map(tuple),
    ),
)  # fmt: skip


@given(st.lists(ANY_LINE, max_size=20))
def test_whatever_is_written_is_read_back(lines: list[Line]) -> None:
    assert [timed.line for timed in recording.read(packed(*lines)).lines] == lines


@given(st.lists(ANY_LINE, max_size=40), st.integers(200, 8000))
def test_a_room_never_takes_more_than_its_limit(lines: list[Line], limit_bytes: int) -> None:
    room = Room(limit_bytes=limit_bytes)
    for line in lines:
        room.add(line.kind, Timed(1, line).to_bytes())
        assert room.taken_bytes <= limit_bytes
    assert len(room.lines()) + sum(row.lines for row in room.dropped.values()) == len(lines)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_recording_gives_a_recording_or_the_one_kind_of_error(data: st.DataObject) -> None:
    text = bytearray(gzip.decompress(packed(*LINES)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"\n", b'"', b"{"])
        )
    for raw in (zlib.compress(bytes(text), wbits=31), bytes(text), zlib.compress(bytes(text), wbits=31)[: place + 1]):
        with suppress(FieldError):
            recording.read(raw)
