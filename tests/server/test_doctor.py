"""`bootpilot doctor` against real networks, DHCP servers, mirrors and damaged folders: each finding says what to do."""

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from bootpilot_agent.dhcp_packet import HEADER, MAGIC
from bootpilot_server.examining.dhcp_asking import _judge, examine_dhcp, networks
from bootpilot_server.examining.dhcp_message import Offer, discover, read_offer
from bootpilot_server.examining.finding import Finding, Grade
from bootpilot_server.examining.folder import examine_clock
from bootpilot_server.store import schema
from tests.agent_board.lan import Lan
from tests.agent_board.own_network import in_own_network
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report
from tests.fakes.server_process import ENVIRONMENT, bootpilot, running_server
from tests.fakes.site import INITRD, digest

URL = "http://10.7.0.1:8080"


def findings(home: Path, *words: str) -> dict[str, dict[str, str]]:
    """By subject. The exit status is 1 exactly where something is bad."""
    done = bootpilot(home, "--json", "doctor", "--no-dhcp", *words)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    found = {finding["subject"]: finding for finding in told["findings"]}
    assert done.returncode == (1 if told["bad"] else 0)
    assert all(finding["hint"] for finding in found.values() if finding["grade"] == "bad")
    return found


def texts(found: list[Finding]) -> list[tuple[Grade, str, str]]:
    return [(finding.grade, finding.text, finding.hint) for finding in found]


@in_own_network
def test_what_a_dhcp_server_offers_boards_is_told() -> None:
    lan = Lan("lan", "10.7.0.1/24")
    lan.plug("eth0")
    subprocess.run(["ip", "link", "set", "eth0", "up"], check=True)
    lan.serve_dhcp("10.7.0.50,10.7.0.99", "--dhcp-option=option:router,10.7.0.1", "--dhcp-option=option:dns-server,10.7.0.2")
    wait_for(lambda: networks() == ["eth0"])
    (found,) = texts(examine_dhcp(["eth0"], URL))
    assert found[0] is Grade.NOTE
    assert "10.7.0.1 offers 10.7.0." in found[1]
    assert "router 10.7.0.1, DNS 10.7.0.2, no boot server" in found[1]
    lan.serve_dhcp("10.7.0.50,10.7.0.99", f"--dhcp-option=224,{URL}/")
    (found,) = texts(examine_dhcp(["eth0"], URL))
    assert found[0] is Grade.GOOD
    assert found[1].endswith(f"boot server {URL}")
    lan.serve_dhcp("10.7.0.50,10.7.0.99", "--dhcp-boot=http://10.9.9.9/boot")
    (found,) = texts(examine_dhcp(["eth0"], URL))
    assert (found[0], f"should be {URL}" in found[2]) == (Grade.BAD, True)
    # Nothing was taken: no address is leased to anybody.
    assert lan.leases.read_text().split() in ([], ["duid"]) or "10.7.0." not in lan.leases.read_text()


@in_own_network
def test_a_network_without_dhcp_is_told() -> None:
    lan = Lan("lan", "10.7.0.1/24")
    lan.plug("eth0")
    subprocess.run(["ip", "link", "set", "eth0", "up"], check=True)
    wait_for(lambda: networks() == ["eth0"])
    (found,) = texts(examine_dhcp(["eth0"], URL))
    assert found[0] is Grade.BAD
    assert "no DHCP server offered anything" in found[1]
    assert examine_dhcp([], URL)[0].text == "no network is up but the loopback"
    (found,) = texts(examine_dhcp(["eth9"], URL))
    assert (found[0], found[1]) == (Grade.BAD, "cannot be asked: No such device")


@in_own_network
def test_whoever_may_not_ask_for_dhcp_is_told_how() -> None:
    lan = Lan("lan", "10.7.0.1/24")
    lan.plug("eth0")
    subprocess.run(["ip", "link", "set", "eth0", "up"], check=True)
    program = "from bootpilot_server.examining.dhcp_asking import *; print(*examine_dhcp(['eth0'], ''), sep='\\n')"
    argv = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service", sys.executable, "-c", program]
    said = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "not asked: port 68 is not for this user" in said
    assert "sudo bootpilot doctor" in said


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_several_dhcp_servers_on_one_network_are_named() -> None:
    offers = [Offer(server, "10.7.0.50", "", (), URL) for server in ("10.7.0.1", "10.7.0.3")]
    found = _judge("eth0", offers, URL)
    assert found[-1].text == "2 servers answer: 10.7.0.1, 10.7.0.3"


@given(st.binary(max_size=600))
def test_no_bytes_whatsoever_break_the_reading_of_offers(noise: bytes) -> None:
    question = discover(7, bytes(6))
    assert read_offer(noise, question) is None
    assert read_offer(question.to_bytes(), question) is None
    head = bytes([2]) + question.to_bytes()[1 : HEADER.size]
    offer = read_offer(head + MAGIC + b"\x35\x01\x02" + noise, question)
    assert offer is None or offer.address == "0.0.0.0"


def test_a_healthy_server_is_found_healthy_through_its_url(home: Path) -> None:
    with running_server(home) as server:
        found = findings(home, "--url", server.url)
    assert found[f"server {server.url}"]["grade"] == "good"
    assert found[f"artifacts from {server.url}"]["grade"] == "good"
    assert digest(INITRD)[:12] in found[f"artifacts from {server.url}"]["text"]
    assert (found["database"]["grade"], found["secret.key"]["grade"], found["artifacts"]["grade"]) == ("good",) * 3
    assert "boards would ask themselves" in found["name 127.0.0.1"]["hint"]


def test_a_server_that_is_not_there_or_something_else_is_told(home: Path, tmp_path: Path) -> None:
    with mirror(tmp_path) as url:
        found = findings(home, "--url", url)
        assert "HTTP status 404" in found[f"server {url}"]["text"]
    found = findings(home, "--url", url)
    assert "Connection refused" in found[f"server {url}"]["text"]
    assert "does not resolve" in findings(home, "--url", "http://nowhere.invalid")["name nowhere.invalid"]["text"]
    assert "expected an absolute URL" in bootpilot(home, "doctor", "--url", "/v1/").stderr


@contextmanager
def mirror(folder: Path) -> Iterator[str]:
    """Python's own file server, which knows no ranges."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_mirrors_are_asked_for_an_artifact_as_boards_do(home: Path, tmp_path: Path) -> None:
    served = tmp_path / "www"
    artifact = served / "artifacts" / "sha256" / digest(INITRD)
    artifact.parent.mkdir(parents=True)
    with mirror(served) as url:
        (home / "server.toml").write_text(f'mirrors = ["{url}"]\n')
        subject = f"artifacts from {url}"
        assert "HTTP status 404" in findings(home)[subject]["text"]
        artifact.write_bytes(INITRD)
        assert "comes, but not in parts" in findings(home)[subject]["text"]
        artifact.write_bytes(b"another" + INITRD[7:])
        assert "comes wrong" in findings(home)[subject]["text"]
        artifact.write_bytes(INITRD[:-1])
        assert "comes wrong" in findings(home)[subject]["text"]


def test_faults_of_the_folder_are_told(home: Path, bench: Bench, tmp_path: Path) -> None:
    bench.server.artifacts.remove(digest(INITRD))
    assert digest(INITRD)[:12] in findings(home)["artifacts"]["text"]
    (home / "secret.key").chmod(0o644)
    assert findings(home)["secret.key"]["hint"] == f"chmod 600 {home / 'secret.key'}"
    (home / "secret.key").chmod(0o600)
    bench.server.database.close()
    with (home / "state.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096 * 20))
    found = findings(home)["database"]
    assert (found["grade"], "restore" in found["hint"]) == ("bad", True)
    (home / "state.sqlite").unlink()
    assert "is not there" in findings(home)["database"]["text"]
    assert "is not there" in findings(tmp_path / "nowhere")["folder"]["text"]


def test_a_clock_that_was_set_back_is_told(bench: Bench) -> None:
    bench.apply()
    bench.plan(make_report())
    assert examine_clock(bench.server.database).grade is not Grade.BAD
    with bench.server.database.writing() as connection:
        connection.execute(update(schema.nodes).values(last_seen_at=time.time() + 3600))
    found = examine_clock(bench.server.database)
    assert (found.grade, "in the past" in found.text) == (Grade.BAD, True)


def test_people_read_it_line_by_line(home: Path) -> None:
    done = bootpilot(home, "doctor", "--no-dhcp")
    assert "good    database: " in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" good")
