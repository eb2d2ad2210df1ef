"""The server as the program that people run: sockets, signals, power cuts, many boards at once."""

import concurrent.futures
import contextlib
import hashlib
import io
import json
import socket
import struct
import time
from pathlib import Path

import pytest
import requests

from bootpilot_agent.plan import Plan
from bootpilot_server.serving.serving import Listen, open_listener
from tests.fakes.bench import Bench
from tests.fakes.reports import again, body_of, make_report, serial
from tests.fakes.server_process import RunningServer, ask, bootpilot, running_server
from tests.fakes.site import INITRD, KERNEL, digest, write_site

TIMEOUT_S = 60


def speak(server: RunningServer, text: bytes) -> bytes:
    """Bytes to the server, and everything it answers until it closes."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        connection.sendall(text)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_fresh_folder_needs_three_commands_until_a_board_boots(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name, content in (("vmlinuz", KERNEL), ("initrd", INITRD)):
        (tmp_path / name).write_bytes(content)
        assert bootpilot(home, "artifact", "add", str(tmp_path / name)).returncode == 0
    done = bootpilot(home, "apply", str(write_site(tmp_path / "site")))
    assert (done.returncode, done.stdout) == (0, "revision 1 is in force\n"), done.stderr
    with running_server(home) as server:
        assert ask(server, make_report()).json()["action"] == "boot"


def test_a_boot_over_real_sockets_from_question_to_payload(home: Path) -> None:
    with running_server(home) as server, requests.Session() as session:
        plan = Plan.from_json(ask(server, make_report()).content, "arm64")
        assert plan.boot is not None
        for artifact, content in ((plan.boot.kernel, KERNEL), (plan.boot.initrds[0], INITRD)):
            whole = session.get(server.url + artifact.urls[0], timeout=TIMEOUT_S)
            assert hashlib.sha256(whole.content).hexdigest() == artifact.sha256
            rest = session.get(server.url + artifact.urls[0], headers={"Range": "bytes=1000-"}, timeout=TIMEOUT_S)
            assert (rest.status_code, rest.content) == (206, content[1000:])
            middle = session.get(server.url + artifact.urls[0], headers={"Range": "bytes=7-11"}, timeout=TIMEOUT_S)
            assert middle.content == content[7:12]
            head = session.head(server.url + artifact.urls[0], timeout=TIMEOUT_S)
            assert (head.headers["Content-Length"], head.content) == (str(len(content)), b"")
        event = {"source": "payload", "seq": 1, "name": "payload-up", "at_ms": 1}
        path = f"{server.url}/v1/boots/{plan.boot_id}/events"
        headers = {"Authorization": f"Bearer {plan.token}"}
        assert session.post(path, json={"version": 1, "events": [event]}, headers=headers, timeout=TIMEOUT_S).status_code == 200
        assert "payload-up" in session.get(server.url, timeout=TIMEOUT_S).text


def test_what_was_answered_before_a_power_cut_is_known_after_it(home: Path) -> None:
    report = make_report()
    with running_server(home) as server:
        before = ask(server, report)
        server.kill()
    token = before.json()["token"]
    with running_server(home) as server:
        assert ask(server, report).content == before.content
        assert ask(server, again(report)).status_code == 409
        assert ask(server, again(report), token).json()["node_id"] == before.json()["node_id"]


def test_many_boards_and_many_copies_of_each_question_at_once(home: Path) -> None:
    reports = [make_report(evidence=serial(f"1000000000abcd{number:02}")) for number in range(20)]
    with running_server(home, "--workers", "2") as server, concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda report: ask(server, report), reports * 4))
    assert {answer.status_code for answer in answers} == {200}
    for index, report in enumerate(reports):
        copies = {answer.content for answer in answers[index :: len(reports)]}
        assert len(copies) == 1, report
    assert len({answer.json()["node_id"] for answer in answers}) == len(reports)


def test_sigterm_ends_the_server_in_peace(home: Path) -> None:
    with running_server(home) as server:
        assert ask(server, make_report()).status_code == 200
        assert server.stop() == 0
        assert "Traceback" not in server.output.read_text()


def test_it_says_where_the_status_page_is(home: Path) -> None:
    with running_server(home) as server:
        said = server.output.read_text()
    assert f"boot server and status page: {server.url}/" in said
    assert str(home) in said


def test_it_listens_on_both_families_at_once(home: Path) -> None:
    with running_server(home, listen="[::]:0") as server:
        port = server.url.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            assert requests.get(f"http://{host}:{port}/v1/", timeout=TIMEOUT_S).json()["version"] == 1
        requests.post(f"http://127.0.0.1:{port}/v1/boot", data=body_of(make_report()), timeout=TIMEOUT_S)
        assert "::ffff:" not in requests.get(f"http://127.0.0.1:{port}/", timeout=TIMEOUT_S).text


def test_a_port_that_is_taken_is_said_with_a_hint(home: Path) -> None:
    with running_server(home) as server:
        address = server.url.removeprefix("http://")
        done = bootpilot(home, "serve", "--listen", address)
    assert done.returncode == 1
    assert f"cannot listen on {address}: Address already in use" in done.stderr
    assert "hint: port 0" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nNo colon here\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/boot HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/boot HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_broken_http_gets_a_problem_document_too(home: Path, text: bytes) -> None:
    with running_server(home) as server:
        head, _, body = speak(server, text).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 4"), head
        assert b"application/problem+json" in head
        assert 400 <= json.loads(body)["status"] < 500
        assert requests.get(f"{server.url}/v1/", timeout=TIMEOUT_S).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_megabyte_of_report_is_read_to_its_end_and_refused(home: Path, chunked: bool) -> None:
    body = b"A" * 1_000_000
    with running_server(home) as server:
        data = (body[start : start + 10_000] for start in range(0, len(body), 10_000)) if chunked else body
        response = requests.post(f"{server.url}/v1/boot", data=data, timeout=TIMEOUT_S)
    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"


def test_a_download_that_is_broken_off_gives_its_place_back(home: Path) -> None:
    path = f"/artifacts/sha256/{hashlib.sha256(KERNEL).hexdigest()}"
    with running_server(home, "--workers", "1", "--threads", "2") as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        for _ in range(8):
            with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                connection.recv(100)
        assert ask_again_while_busy(server.url + path).content == KERNEL


def ask_again_while_busy(url: str) -> requests.Response:
    """As a board asks: 503 means that the server has not noticed yet who has gone. The last answer after TIMEOUT_S."""
    deadline = time.monotonic() + TIMEOUT_S
    while (response := requests.get(url, timeout=TIMEOUT_S)).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    return response


HURRIED = "from bootpilot_server.serving import gunicorn_worker\ngunicorn_worker.REQUEST_S = gunicorn_worker.ANSWER_S = 0.5"


@pytest.mark.parametrize(
    ("start", "answer"),
    [
        (b"GET /v1/ HTTP/1.1\r\nX-Slow: ", b""),
        (b"POST /v1/boot HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST /v1/boot HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n", b"HTTP/1.1 400"),
    ],
)
def test_a_request_that_trickles_in_for_ever_is_ended(home: Path, start: bytes, answer: bytes) -> None:
    with running_server(home, "--workers", "1", "--threads", "2", settings=HURRIED) as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(start)
            assert trickle(connection).startswith(answer)
        assert requests.get(f"{server.url}/v1/", timeout=TIMEOUT_S).status_code == 200


def trickle(connection: socket.socket) -> bytes:
    """One byte and another, each sooner than any timer for silence, until the server answers or closes."""
    connection.settimeout(0.05)
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            return connection.recv(65536)
        except TimeoutError:
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(b"a")
        except ConnectionError:
            return b""
    raise AssertionError("the server listens for ever")


def test_a_download_that_trickles_out_for_ever_is_cut(home: Path, bench: Bench) -> None:
    name, size = bench.server.artifacts.add(io.BytesIO(bytes(64 << 20)))
    with running_server(home, "--workers", "1", "--threads", "2", settings=HURRIED) as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(f"GET /artifacts/sha256/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            assert ask_again_while_busy(f"{server.url}/artifacts/sha256/{digest(KERNEL)}").content == KERNEL
            rest = sum(len(piece) for piece in iter(lambda: connection.recv(1 << 20), b""))
        assert rest < size


def test_clients_that_do_not_close_their_side_hold_up_nobody(home: Path) -> None:
    patient = "from bootpilot_server.serving import gunicorn_worker\ngunicorn_worker.LINGER_S = 600.0"
    with running_server(home, "--workers", "1", "--threads", "64", settings=patient) as server, contextlib.ExitStack() as stack:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        # gunicorn's own wait, 2 s for each and one after the other, would be longer than TIMEOUT_S.
        for _ in range(40):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=TIMEOUT_S))
            connection.sendall(b"GET /v1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert requests.get(f"{server.url}/v1/", timeout=TIMEOUT_S).status_code == 200


def test_connections_inherit_the_timers_that_end_a_dead_boards_download() -> None:
    with open_listener(Listen("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert struct.unpack("ll", accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)) == (30, 0)


def test_two_servers_with_one_secret_know_each_others_tokens(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "shared.key"
    secret.write_text("ab" * 32)
    secret.chmod(0o600)
    environment = {"BOOTPILOT_SECRET_FILE": str(secret)}
    report = make_report()
    with running_server(home, environment=environment) as one, running_server(home, environment=environment) as other:
        assert ask(one, report).content == ask(other, report).content
