"""The watchdog. A plain file stands in for /dev/watchdog0: it takes the magic byte and refuses the ioctls."""

import threading
from pathlib import Path

import pytest

from bootpilot_agent.watchdog import Beats, Watchdog, read_chip


def make_chip(root: Path, identity: str, **attributes: str) -> Path:
    folder = root / "sys/class/watchdog/watchdog0"
    folder.mkdir(parents=True)
    for name, value in {"identity": identity, "nowayout": "0", "state": "inactive", **attributes}.items():
        (folder / name).write_text(value + "\n")
    (root / "dev").mkdir()
    device = root / "dev/watchdog0"
    device.touch()
    return device


def test_the_device_is_fed_only_while_beats_are_recent() -> None:
    beats = Beats(limit_s=60, now_s=100)
    assert beats.is_alive(159.9)
    assert not beats.is_alive(160)
    beats.beat(200)
    assert beats.is_alive(259)
    assert not beats.is_alive(261)


def test_it_is_stopped_by_the_magic_byte(tmp_path: Path) -> None:
    device = make_chip(tmp_path, "i6300ESB timer")
    watchdog = Watchdog.open(30, root=tmp_path)
    watchdog.beat()
    assert watchdog.describe() == "i6300ESB timer, reboots the board after 30 s without a sign of life"
    watchdog.stop()
    watchdog.stop()
    assert device.read_bytes() == b"V"


def test_one_that_is_starved_is_not_stopped_and_hears_of_no_more_life(tmp_path: Path) -> None:
    device = make_chip(tmp_path, "i6300ESB timer")
    watchdog = Watchdog.open(30, root=tmp_path)
    watchdog.starve()
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())
    assert device.read_bytes() == b""
    watchdog.beat()
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())


def test_one_that_is_kept_gets_no_magic_byte(tmp_path: Path) -> None:
    device = make_chip(tmp_path, "i6300ESB timer")
    watchdog = Watchdog.open(30, root=tmp_path)
    watchdog.keep()
    assert device.read_bytes() == b""


def test_one_that_bites_too_soon_is_stopped_even_if_the_plan_would_keep_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = make_chip(tmp_path, "sunxi-wdt", max_timeout="16")
    watchdog = Watchdog.open(30, root=tmp_path)
    watchdog.keep()
    assert device.read_bytes() == b"V"
    assert "watchdog: not kept, as the plan would have it: it bites after at most 16 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("identity", "attributes", "reason"),
    [
        ("imx2+ watchdog", {}, "i.MX"),
        ("sunxi-wdt", {"nowayout": "1"}, "nowayout"),
        ("Synopsys DesignWare Watchdog", {}, "reset line"),
    ],
)
def test_one_that_cannot_be_stopped_is_not_opened(
    tmp_path: Path, identity: str, attributes: dict[str, str], reason: str
) -> None:
    device = make_chip(tmp_path, identity, **attributes)
    device.chmod(0o400)
    watchdog = Watchdog.open(30, root=tmp_path)
    assert f"{identity} not used: " in watchdog.describe()
    assert reason in watchdog.describe()
    watchdog.beat()
    watchdog.stop()
    assert device.read_bytes() == b""


def test_one_that_cannot_be_stopped_is_opened_when_the_plan_keeps_it(tmp_path: Path) -> None:
    device = make_chip(tmp_path, "imx2+ watchdog")
    watchdog = Watchdog.open(30, root=tmp_path)
    watchdog.keep()
    assert watchdog.describe() == "imx2+ watchdog, reboots the board after 30 s without a sign of life"
    assert device.read_bytes() == b""


def test_without_a_watchdog_nothing_happens(tmp_path: Path) -> None:
    assert read_chip(tmp_path) is None
    for timeout_s, told in ((30, "none"), (0, "not used (setting)")):
        watchdog = Watchdog.open(timeout_s, root=tmp_path)
        for method in (watchdog.beat, watchdog.keep, watchdog.stop):
            method()
        assert watchdog.describe() == told


def test_a_device_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    make_chip(tmp_path, "sunxi-wdt").unlink()
    (tmp_path / "dev/watchdog0").mkdir()
    assert Watchdog.open(30, root=tmp_path).describe() == "sunxi-wdt not used: cannot be opened"
