"""The server with a certificate of its own: real TLS, renewals, and clients that do not keep to it."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import requests

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.transport import Route, Transport
from tests.fakes.certificates import Certificates
from tests.fakes.reports import body_of, make_report
from tests.fakes.scripted_server import wait_until
from tests.fakes.server_process import RunningServer, bootpilot, running_server
from tests.fakes.site import KERNEL, digest

TIMEOUT_S = 60
HURRIED = "from bootpilot_server.serving import gunicorn_worker\ngunicorn_worker.REQUEST_S = 0.5"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    folder = tmp_path / "tls"
    folder.mkdir()
    found = Certificates(folder)
    found.issue("boot")
    return found


def options(certificates: Certificates) -> tuple[str, ...]:
    return "--certificate", str(certificates.folder / "boot.pem"), "--key", str(certificates.folder / "boot.key")


def hello(server: RunningServer, ca: Path) -> int:
    return requests.get(f"{server.url}/v1/", verify=str(ca), timeout=TIMEOUT_S).status_code


def test_a_boot_over_https_from_question_to_payload(home: Path, certificates: Certificates) -> None:
    with running_server(home, *options(certificates)) as server:
        assert f"boot server and status page: {server.url}/" in server.output.read_text()
        transport = Transport(Route(ca_file=str(certificates.ca)))
        report = body_of(make_report())
        asked = transport.ask("POST", f"{server.url}/v1/boot", deadline=Deadline.after(TIMEOUT_S), body=report)
        assert (asked.status, b'"action"' in asked.body) == (200, True)
        url = f"{server.url}/artifacts/sha256/{digest(KERNEL)}"
        assert transport.ask("GET", url, deadline=Deadline.after(TIMEOUT_S), limit_bytes=1 << 20).body == KERNEL
        transport.close()
        assert server.stop() == 0


def test_a_renewed_certificate_counts_from_the_next_connection_on(
    home: Path, certificates: Certificates, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    new = Certificates(folder)
    new.issue("boot")
    with running_server(home, *options(certificates)) as server:
        assert hello(server, certificates.ca) == 200
        shutil.copy(new.folder / "boot.pem", certificates.folder / "boot.pem")
        assert hello(server, certificates.ca) == 200
        shutil.copy(new.folder / "boot.key", certificates.folder / "boot.key")
        assert hello(server, new.ca) == 200
        said = server.output.read_text()
    assert "the certificate from before stays in use: " in said
    assert "the key belongs to another certificate" in said
    assert "boot.pem was renewed" in said


def test_a_board_that_does_not_believe_the_certificate_leaves_a_line(home: Path, certificates: Certificates) -> None:
    with running_server(home, *options(certificates)) as server:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{server.url}/v1/", timeout=TIMEOUT_S)
        assert wait_until(lambda: "no TLS with 127.0.0.1: " in server.output.read_text())
        assert hello(server, certificates.ca) == 200
        assert "Traceback" not in server.output.read_text()


@pytest.mark.parametrize("said", [b"", b"\x16", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_clients_that_never_shake_hands_give_their_places_back(home: Path, certificates: Certificates, said: bytes) -> None:
    with running_server(home, "--workers", "1", "--threads", "2", *options(certificates), settings=HURRIED) as server:
        host, _, port = server.url.removeprefix("https://").rpartition(":")
        silent = [socket.create_connection((host, int(port)), timeout=TIMEOUT_S) for _ in range(4)]
        for connection in silent:
            connection.sendall(said)
        assert hello(server, certificates.ca) == 200
        for connection in silent:
            connection.close()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("--key", "missing.key"), "missing.key: No such file"),
        (("--key", "ca.key"), "the key belongs to another certificate"),
        (("--certificate", "ca.cnf"), "is no usable PEM"),
        (("--key", "locked.key"), "the key has a password"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named_at_the_start(
    home: Path, certificates: Certificates, change: tuple[str, str], complaint: str
) -> None:
    locked = ["openssl", "pkey", "-in", "boot.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key"]
    subprocess.run(locked, cwd=certificates.folder, check=True, capture_output=True)
    done = bootpilot(home, "serve", *options(certificates), change[0], str(certificates.folder / change[1]))
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "hint: " in done.stderr


def test_a_certificate_without_its_key_is_a_mistake(home: Path, certificates: Certificates) -> None:
    done = bootpilot(home, "serve", "--certificate", str(certificates.folder / "boot.pem"))
    assert done.returncode != 0
    assert "--certificate and --key go together" in done.stderr
