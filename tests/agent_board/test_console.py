"""What a person at the serial port reads, and what of it is kept."""

import io
import os
import re

import pytest

from bootpilot_agent.console import CUT_MARK, Console, Progress, format_seconds, ignore_stop_characters, progress_line
from tests.fakes.scripted_server import wait_until


def test_each_line_has_the_seconds_and_is_kept() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.say("first\nsecond")
    lines = stream.getvalue().splitlines()
    assert re.fullmatch(r"\[ *\d+\.\d\d\] first", lines[0])
    assert lines[1] == " " * (len(lines[0]) - len("first")) + "second"
    assert console.transcript().decode() == stream.getvalue()


def test_foreign_text_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()
    Console(stream).say("serial \x1b[2J\x07\u202eabc\r \ud800")
    assert stream.getvalue().endswith("serial \\x1b[2J\\x07\\u202eabc\n" + " " * 11 + " \\ud800\n")


def test_a_stop_character_on_the_line_does_not_stop_the_agent() -> None:
    keyboard, screen = os.openpty()
    os.set_blocking(screen, False)
    os.write(keyboard, b"\x13")  # Ctrl-S
    assert wait_until(lambda: is_stopped(screen))
    ignore_stop_characters(screen)
    assert not is_stopped(screen)
    os.write(keyboard, b"\x13")
    assert wait_until(lambda: b"^S" in os.read(keyboard, 4096))  # now a character like any other: it is echoed
    assert not is_stopped(screen)
    os.close(keyboard)
    os.close(screen)


def is_stopped(terminal: int) -> bool:
    try:
        os.write(terminal, b".")
    except BlockingIOError:
        return True
    return False


def test_an_output_that_is_no_terminal_is_left_alone() -> None:
    reading, writing = os.pipe()
    ignore_stop_characters(writing)
    os.close(reading)
    os.close(writing)
    ignore_stop_characters(writing)


def test_a_terminal_that_knows_only_ascii_gets_the_rest_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Console(stream).say("5 \N{MICRO SIGN}s")
    assert raw.getvalue().endswith(b"5 \\xb5s\n")


def test_a_terminal_that_is_gone_stops_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    console = Console(stream)
    console.say("still here")
    assert console.transcript().endswith(b"still here\n")


def test_the_transcript_is_bounded_and_says_what_it_lost() -> None:
    console = Console(io.StringIO(), limit_bytes=2000)
    for number in range(1000):
        console.say(f"line {number}")
    kept = console.transcript()
    assert len(kept) <= 2000
    assert kept.startswith(CUT_MARK)
    assert kept.endswith(b"line 999\n")
    assert all(b"line" in line for line in kept.splitlines())
    assert len(kept) > 1000


def test_a_line_of_a_megabyte_is_cut() -> None:
    console = Console(io.StringIO())
    console.say("A" * (1 << 20))
    assert len(console.transcript()) < 5000


def test_a_banner_stands_between_rules() -> None:
    stream = io.StringIO()
    Console(stream).banner("Bootpilot", "board: x")
    assert stream.getvalue().splitlines() == ["=" * 72, "Bootpilot", "board: x", "=" * 72]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("kernel", 12 << 20, 48 << 20, 4.0 * (1 << 20)), "kernel: 12.0 of 48.0 MiB (25 %), 4.0 MiB/s, 9 s left"),
        (("initrd", 0, 1 << 20, 0.0), "initrd: 0.0 of 1.0 MiB (0 %), 0.0 MiB/s, stalled"),
        (("log", 0, 0, 1.0), "log: 0.0 of 0.0 MiB, 0.0 MiB/s, 0 s left"),
    ],
)
def test_progress_tells_amount_rate_and_time_left(arguments: tuple[str, int, int, float], line: str) -> None:
    assert progress_line(*arguments) == line


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (-1, "0 s")]
)
def test_seconds_are_said_as_people_do(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_progress_says_something_now_and_then_and_a_last_word() -> None:
    stream = io.StringIO()
    often = Progress("kernel", 100, Console(stream), every_s=0)
    often.update(10)
    often.update(50)
    often.finish(100)
    assert len(stream.getvalue().splitlines()) == 3
    assert "kernel: 0.0 MiB in " in stream.getvalue().splitlines()[-1]
    stream = io.StringIO()
    seldom = Progress("kernel", 100, Console(stream), every_s=3600)
    for done in range(100):
        seldom.update(done)
    assert stream.getvalue() == ""
