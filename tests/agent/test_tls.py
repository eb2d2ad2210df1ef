"""HTTPS with real servers: what is believed, what never is, and boards whose clocks cannot be right."""

import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bootpilot_agent.conversation import pin_ca
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import SettingsError, TransportError
from bootpilot_agent.settings import Settings
from bootpilot_agent.tls import CA_BUNDLE
from bootpilot_agent.transport import Answer, Route, Transport
from bootpilot_agent.wall_clock import CREDIBLE_S, WallClock
from tests.fakes.certificates import Certificates
from tests.fakes.scripted_server import Reply, ScriptedServer
from tests.fakes.server_process import running_server

DAY_S = 86400
HOLLOW = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "tests/fakes/client_with_a_clock.py"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def ask(url: str, ca: Path | str, timeout_s: float = 10.0) -> Answer:
    transport = Transport(Route(ca_file=str(ca)))
    try:
        return transport.ask("GET", url, deadline=Deadline.after(timeout_s))
    finally:
        transport.close()


def serving(context: ssl.SSLContext) -> ScriptedServer:
    server = ScriptedServer(tls=context)
    server.on("GET", "/", Reply(200, b"hello"))
    return server


def test_a_server_with_a_certificate_of_the_pinned_ca_is_believed(certificates: Certificates) -> None:
    with serving(certificates.issue("good")) as server:
        assert ask(server.url + "/", certificates.ca).body == b"hello"


def test_a_server_whose_own_certificate_is_pinned_is_believed(certificates: Certificates) -> None:
    with serving(certificates.sign_itself("alone")) as server:
        assert ask(server.url + "/", certificates.folder / "alone.pem").body == b"hello"


@pytest.mark.parametrize(
    ("name", "alternative", "days", "words", "hint"),
    [
        ("elsewhere", "DNS:other.example", (-1, 1), "not valid for '127.0.0.1'", "name the server in bootpilot.txt as its"),
        (
            "expired",
            "IP:127.0.0.1",
            (-3, -1),
            "has expired: valid from .* and this board's clock says",
            "renew it on the server",
        ),
        ("future", "IP:127.0.0.1", (1, 2), "not yet valid: valid from .* and this board's clock says", "this board's clock"),
        ("expired-elsewhere", "DNS:other.example", (-3, -1), "not valid for '127.0.0.1'", "name the server in bootpilot.txt"),
    ],
)
def test_a_certificate_that_does_not_hold_ends_the_request(
    certificates: Certificates, name: str, alternative: str, days: tuple[int, int], words: str, hint: str
) -> None:
    with serving(certificates.issue(name, alternative, *days)) as server:
        with pytest.raises(TransportError, match=words) as raised:
            ask(server.url + "/", certificates.ca)
        assert hint in raised.value.hint
        assert server.requests == []


def test_who_is_signed_by_nobody_or_by_a_foreign_ca_is_not_believed(certificates: Certificates, tmp_path: Path) -> None:
    foreign = Certificates(tmp_path)
    for context in (certificates.sign_itself("self-signed"), foreign.issue("foreign")):
        with serving(context) as server:
            for ca in (certificates.ca, CA_BUNDLE):
                with pytest.raises(TransportError, match="not signed by a CA that this board believes") as raised:
                    ask(server.url + "/", ca)
                assert "`ca` in bootpilot.txt" in raised.value.hint
            assert server.requests == []


def test_old_tls_is_not_spoken(certificates: Certificates) -> None:
    context = certificates.issue("old")
    # OpenSSL itself speaks nothing older than 1.2 at Debian's level of security.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1
    with serving(context) as server:
        with pytest.raises(TransportError, match=r"the server speaks only TLS older than 1\.2") as raised:
            ask(server.url + "/", certificates.ca)
        assert "TLS 1.2 or 1.3" in raised.value.hint
        assert server.requests == []


def test_https_to_a_port_of_plain_http_is_told(certificates: Certificates, tmp_path: Path) -> None:
    with running_server(tmp_path / "home") as server:
        with pytest.raises(TransportError, match=r"does not speak TLS|the other side hung up") as raised:
            ask(server.url.replace("http:", "https:") + "/", certificates.ca)
        assert "the port of plain http?" in raised.value.hint


def test_a_tls_handshake_that_never_comes_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TransportError, match="not finished in time"):
        ask(f"https://127.0.0.1:{silent.getsockname()[1]}/", CA_BUNDLE, timeout_s=0.5)


def ask_at(date: str, url: str, ca: Path, floor_s: float, folder: Path) -> str:
    """What a board whose clock stands at `date` says and hears."""
    (preload,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    time_file = folder / "time"
    time_file.write_text(f"@{date} 00:00:00\n")
    faked = {"LD_PRELOAD": str(preload), "FAKETIME_TIMESTAMP_FILE": str(time_file), "FAKETIME_NO_CACHE": "1", "TZ": "UTC"}
    real = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": str(ROOT / "agent")}
    environment = {**os.environ, **faked, **real}
    argv = [sys.executable, str(CLIENT), url, str(ca), str(int(floor_s)), str(time_file)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("date", ["1970-01-01", "2000-01-01", "2038-01-20", "2106-02-07"])
def test_a_board_whose_clock_cannot_be_right_believes_a_good_certificate(
    certificates: Certificates, date: str, tmp_path: Path
) -> None:
    with serving(certificates.issue("good", start_days=-9)) as server:
        said = ask_at(date, server.url + "/", certificates.ca, time.time() - DAY_S, tmp_path)
    assert said.startswith(f"clock: it says {date}")
    assert said.endswith("answer: hello\n")


@pytest.mark.parametrize("date", ["1970-01-01", "2038-01-20"])
def test_a_certificate_that_was_renewed_after_the_loader_was_built_tells_the_board_how_late_it_is(
    certificates: Certificates, date: str, tmp_path: Path
) -> None:
    with serving(certificates.issue("renewed", end_days=90)) as server:
        said = ask_at(date, server.url + "/", certificates.ca, time.time() - 5 * DAY_S, tmp_path)
    assert "clock: the server's certificate is valid from" in said
    assert said.endswith("answer: hello\n")


@pytest.mark.parametrize("date", ["1970-01-01", "2038-01-20"])
def test_what_expired_before_the_loader_was_built_is_not_believed_with_any_clock(
    certificates: Certificates, date: str, tmp_path: Path
) -> None:
    with serving(certificates.issue("expired", start_days=-9, end_days=-2)) as server:
        said = ask_at(date, server.url + "/", certificates.ca, time.time() - DAY_S, tmp_path)
        assert server.requests == []
    assert "failure: " in said
    assert "certificate has expired: valid from" in said


@pytest.mark.parametrize("kind", ["foreign", "wrong name"])
def test_a_certificate_that_is_not_believed_moves_no_clock(certificates: Certificates, kind: str, tmp_path: Path) -> None:
    signer = Certificates(tmp_path) if kind == "foreign" else certificates
    context = signer.issue("liar", "IP:127.0.0.1" if kind == "foreign" else "DNS:other.example", end_days=90)
    with serving(context) as server:
        said = ask_at("1970-01-01", server.url + "/", certificates.ca, time.time() - 5 * DAY_S, tmp_path)
        assert server.requests == []
    assert "failure: " in said
    assert "certificate is valid from" not in said


def test_a_clock_that_may_be_right_is_left_alone() -> None:
    written: list[float] = []
    said: list[str] = []
    floor_s = 1_800_000_000
    for now_s in (floor_s, floor_s + CREDIBLE_S):
        WallClock(floor_s, said.append, lambda now_s=now_s: now_s, written.append).correct()  # type: ignore[misc]
    WallClock(0, said.append, lambda: 0.0, written.append).correct()
    assert (written, said) == ([], [])


def test_a_certificate_moves_a_clock_forwards_only_and_never_beyond_belief() -> None:
    floor_s = 1_800_000_000
    written: list[float] = []
    clock = WallClock(floor_s, read=lambda: floor_s + DAY_S, write=written.append)
    assert not clock.learn(floor_s, "it")
    assert not clock.learn(floor_s + CREDIBLE_S + DAY_S, "it")
    assert clock.learn(floor_s + 2 * DAY_S, "it")
    assert written == [floor_s + 2 * DAY_S]


def test_what_was_learnt_outlasts_a_driver_that_sets_the_clock_anew() -> None:
    floor_s = 1_800_000_000
    written: list[float] = []
    clock = WallClock(floor_s, read=lambda: 0.0, write=written.append)
    clock.learn(floor_s + DAY_S, "it")
    clock.correct()
    assert written == [floor_s + DAY_S, floor_s + DAY_S]


def test_a_clock_beyond_what_a_32_bit_system_can_read_is_set_back_and_one_that_cannot_be_set_is_told() -> None:
    def unreadable() -> float:
        raise OSError(75, "Value too large for defined data type")

    def overflowing() -> float:
        raise OverflowError("timestamp too large to convert to C PyTime_t")

    def forbidden(unix_s: float) -> None:
        raise PermissionError(1, "Operation not permitted")

    for read in (overflowing, unreadable):
        said: list[str] = []
        WallClock(1_800_000_000, said.append, read, forbidden).correct()
        assert "".join(said) == (
            "clock: it says no date that can be read, but no loader is in use ten years after it was built;"
            " it cannot be set: [Errno 1] Operation not permitted"
        )


def test_the_first_day_of_the_ca_on_the_card_has_come(certificates: Certificates, tmp_path: Path) -> None:
    written: list[float] = []
    built_s = int(time.time()) - 60 * DAY_S
    settings = Settings(ca=certificates.ca.read_text())
    pin_ca(settings, tmp_path / "payload", WallClock(built_s, read=lambda: built_s, write=written.append))
    assert [round((time.time() - unix_s) / DAY_S) for unix_s in written] == [30]


@pytest.mark.parametrize("settings", [Settings(ca_lost=True), Settings(ca=HOLLOW)])
def test_a_ca_that_is_none_is_no_reason_to_believe_the_public_ones(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no server can be believed"):
        pin_ca(settings, tmp_path / "payload", WallClock())
