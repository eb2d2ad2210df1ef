"""What the doors of the agent tell the flight recorder, how much of it is kept, and what that costs in memory."""

import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_agent import recording, sysfs
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import CommandError, TransportError
from bootpilot_agent.flight import FOLD_WORDS, MAX_FILE_BYTES, MOST_CHANGES, Agent, Flight
from bootpilot_agent.recorded_http import MAX_MARKS, HttpLine
from bootpilot_agent.recording import Recording
from bootpilot_agent.recording_lines import (
    ClockLine,
    DhcpLine,
    FileKind,
    FileLine,
    RunLine,
    SayLine,
    UeventLine,
)
from bootpilot_agent.recording_room import MAX_PLAIN_BYTES
from bootpilot_agent.run import run
from bootpilot_agent.taps import Request, Tap, listen, stop_listening, tap
from bootpilot_agent.transport import Route, Transport
from bootpilot_agent.wall_clock import WallClock
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.scripted_server import Reply

AGENT = Agent("0.1.0", "0123456789abcdef", "amd64", ("boot", "record"))
BOOT_ID = "0b9a3a1e-8a54-4a6e-9d1c-0123456789ab"


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Flight]:
    """One that listens, for a board whose root is the test's folder."""
    made = Flight(AGENT, tmp_path)
    made.boot_id = BOOT_ID
    listen(made)
    yield made
    stop_listening()


def of(found: Recording, kind: type) -> list[object]:
    return [timed.line for timed in found.lines if isinstance(timed.line, kind)]


def exchanges(found: Recording) -> list[HttpLine]:
    return [timed.line for timed in found.lines if isinstance(timed.line, HttpLine)]


def packed(recorder: Flight) -> Recording:
    return recording.read(recorder.pack())


def test_a_file_is_taken_down_once_and_again_only_when_it_has_changed(recorder: Flight, tmp_path: Path) -> None:
    path = tmp_path / "carrier"
    for number in range(MOST_CHANGES + 5):
        path.write_text(f"{number}")
        for _ in range(3):
            assert sysfs.read_text(path) == f"{number}"
    assert sysfs.read_text(tmp_path / "missing") == ""
    assert sysfs.list_names(tmp_path) == ["carrier"]
    (tmp_path / "driver").symlink_to("../drivers/e1000")
    assert sysfs.link_name(tmp_path / "driver") == "e1000"
    found = packed(recorder)
    files = [line for line in of(found, FileLine) if isinstance(line, FileLine)]
    assert [line.content for line in files if line.path == "carrier"] == [str(n).encode() for n in range(MOST_CHANGES + 1)]
    assert [line.names for line in files if line.names] == [("carrier",)]
    assert [line.target for line in files if line.target] == ["../drivers/e1000"]


def test_what_is_looked_for_by_its_name_alone_is_in_the_recording_too(recorder: Flight, tmp_path: Path) -> None:
    """A tree made of the recording then answers the same."""
    (tmp_path / "wireless").mkdir()
    (tmp_path / "idVendor").write_text("058f\n")
    assert [sysfs.exists(tmp_path / name) for name in ("wireless", "idVendor", "dsa")] == [True, True, False]
    files = {line.path: line for line in of(packed(recorder), FileLine) if isinstance(line, FileLine)}
    assert (files["wireless"].what, files["wireless"].names) == (FileKind.FOLDER, ())
    assert files["idVendor"].content == b"058f\n"
    assert "dsa" not in files


def test_programs_are_taken_down_with_what_they_said(recorder: Flight) -> None:
    run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=60, check=False)
    with pytest.raises(CommandError):
        run(["/does/not/exist"], timeout_s=60)
    with pytest.raises(CommandError):
        run(["sleep", "60"], timeout_s=0.05)
    first, second, third = (line for line in of(packed(recorder), RunLine) if isinstance(line, RunLine))
    assert (first.returncode, first.stdout, first.stderr) == (3, "out\n", "err\n")
    assert (second.returncode, "No such file" in second.stderr) == (None, True)
    assert (third.returncode, third.stderr) == (None, "still running after 0.05 s")


def test_the_clock_is_taken_down_when_it_was_corrected_and_not_at_each_look(recorder: Flight) -> None:
    now = [5.0]
    clock = WallClock(1_700_000_000, read=lambda: now[0], write=lambda unix_s: now.__setitem__(0, unix_s))
    for _ in range(5):
        clock.correct()
    now[0] = float("inf")
    clock.correct()
    lines = [line for line in of(packed(recorder), ClockLine) if isinstance(line, ClockLine)]
    assert lines[:2] == [ClockLine(5), ClockLine(1_700_000_000, corrected=True)]
    assert lines[2] == ClockLine(None)


def test_devices_and_leases_are_taken_down_as_they_came(recorder: Flight) -> None:
    tap().heard_uevent({"ACTION": "add", "NAME": "a\udcffb"})
    tap().took_dhcp("eth0", b"event=bound\0ip=\xff\0")
    found = packed(recorder)
    assert of(found, UeventLine) == [UeventLine({"ACTION": "add", "NAME": "a?b"})]
    assert of(found, DhcpLine) == [DhcpLine("eth0", "event=bound\0ip=\xff\0")]


def test_an_exchange_without_an_answer_says_why(recorder: Flight, server: FakeBootServer) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1/"
        transport = Transport(Route())
        with pytest.raises(TransportError):
            transport.ask("GET", url, deadline=Deadline.after(60))
    server.on("GET", "/cut", Reply(200, b"0123456789", cut_after=4))
    server.on("GET", "/v1/big", Reply(200, bytes(100_000)))
    for path in ("/cut", "/v1/big"):
        with pytest.raises(TransportError):
            transport.ask("GET", server.url + path, deadline=Deadline.after(60))
    transport.close()
    refused, cut, big = exchanges(packed(recorder))
    assert (refused.status, "refused" in refused.error) == (None, True)
    assert (cut.status, cut.answer.size_bytes, bool(cut.error)) == (200, 4, True)
    assert "answer of more than" in big.error
    assert {line.connection for line in (refused, cut, big)} == {refused.connection}


def test_a_long_download_leaves_few_marks(recorder: Flight, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 10**9, 40))
    monkeypatch.setattr("bootpilot_agent.flight.now_ms", lambda: next(ticks))
    exchange = recorder.asked(Request(1, "eth0", "GET", "http://192.0.2.1/x", {}, b""))
    exchange.answered(200, {})
    for _ in range(20_000):
        exchange.took(bytes(10))
    exchange.done(None)
    monkeypatch.undo()
    (line,) = exchanges(packed(recorder))
    assert 10 < len(line.marks) <= MAX_MARKS
    assert line.marks[-1][1] == 200_000
    assert list(line.marks) == sorted(line.marks)


def test_what_takes_too_much_is_counted_and_left_out(recorder: Flight, tmp_path: Path) -> None:
    tap().read(tmp_path / "long", b"x" * (MAX_FILE_BYTES + 10))
    tap().said("\x1b" * 200_000)
    tap().read(tmp_path / "deep", b"y")
    found = packed(recorder)
    assert [len(line.content) for line in of(found, FileLine) if isinstance(line, FileLine)] == [MAX_FILE_BYTES, 1]
    assert found.dropped["say"].lines == 1


def test_a_recording_takes_no_more_memory_than_its_room(recorder: Flight) -> None:
    sysfs.read_text(Path("/proc/cmdline"))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        recorder._fold()
        for number in range(7_000):
            tap().said(f"line {number} of a board that waits for months and says the same again and again" * 8)
            if number % 50 == 0:
                exchange = tap().asked(Request(1, "eth0", "POST", "http://192.0.2.1/v1/boot", {"X": "y"}, b"{}" * 2000))
                exchange.answered(200, {"content-type": "application/json"})
                exchange.took(json.dumps({"nonce": f"{number:064x}", "token": f"token-{number}"}).encode())
                exchange.done(None)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        raw = recorder.pack()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept - before < 1.25 * MAX_PLAIN_BYTES
    # Packing adds the packed bytes, the list of lines, and zlib's own window.
    assert peak - before < 1.25 * MAX_PLAIN_BYTES + 2 * recording.MAX_PACKED_BYTES
    assert len(raw) <= recording.MAX_PACKED_BYTES
    assert recording.read(raw).dropped["say"].lines > 1000


def test_doors_in_many_threads_are_heard_in_one_recording(recorder: Flight) -> None:
    def talk(name: str) -> None:
        for number in range(200):
            tap().said(f"{name} {number}")

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    packed(recorder)
    for thread in threads:
        thread.join()
    words = [line.text for line in of(packed(recorder), SayLine) if isinstance(line, SayLine)]
    assert sorted(words) == sorted(f"{name} {number}" for name in "abcd" for number in range(200))


def test_what_was_kept_goes_to_the_recorder_when_it_is_much_in_its_order(recorder: Flight) -> None:
    for number in range(3 * FOLD_WORDS):
        tap().said(f"{number}")
    found = packed(recorder)
    words = [int(line.text) for line in of(found, SayLine) if isinstance(line, SayLine)]
    assert words == sorted(words)
    lost = found.dropped["any"].lines if "any" in found.dropped else 0
    assert len(words) + lost == 3 * FOLD_WORDS


def test_nobody_listens_unless_somebody_does() -> None:
    assert type(tap()) is Tap
    exchange = tap().asked(Request(1, "", "GET", "http://192.0.2.1/", {}, b""))
    exchange.answered(200, {})
    exchange.took(b"x")
    exchange.made_whole("ab" * 32)
    exchange.done(None)
    assert time.monotonic() > 0
