"""People and boards by addresses of their own: each socket serves its own side only."""

import re
from pathlib import Path

import requests

from tests.fakes.reports import body_of, make_report
from tests.fakes.server_process import RunningServer, bootpilot, running_server
from tests.fakes.site import KERNEL, digest

TIMEOUT_S = 60


def pages_of(server: RunningServer) -> str:
    found = re.search(r"^status page: (http://127\.0\.0\.1:[0-9]+)/$", server.output.read_text(), re.MULTILINE)
    assert found, server.output.read_text()
    return found[1]


def test_boards_get_no_pages_and_people_no_wire(home: Path) -> None:
    with running_server(home, "--operators", "127.0.0.1:0", "--workers", "2") as server:
        pages = pages_of(server)
        plan = requests.post(f"{server.url}/v1/boot", data=body_of(make_report()), timeout=TIMEOUT_S).json()
        artifact = f"/artifacts/sha256/{digest(KERNEL)}"
        shown = ("/", f"/nodes/{plan['node_id']}", f"/boots/{plan['boot_id']}", "/static/status.css")
        for path in shown:
            assert requests.get(pages + path, timeout=TIMEOUT_S).status_code == 200
            refused = requests.get(server.url + path, timeout=TIMEOUT_S)
            assert (refused.status_code, refused.headers["Content-Type"]) == (404, "application/problem+json")
            assert plan["node_id"] not in refused.text
        for path in ("/v1/", artifact):
            assert requests.get(server.url + path, timeout=TIMEOUT_S).status_code == 200
            assert requests.get(pages + path, timeout=TIMEOUT_S).status_code == 404
        assert requests.post(f"{pages}/v1/boot", data=body_of(make_report()), timeout=TIMEOUT_S).status_code == 404


def test_no_header_of_a_client_opens_the_other_door(home: Path) -> None:
    with running_server(home, "--operators", "127.0.0.1:0") as server:
        host = pages_of(server).removeprefix("http://")
        port = host.rpartition(":")[2]
        for headers in (
            {"Host": host},
            {"X-Forwarded-Host": host, "X-Forwarded-Port": port, "Forwarded": f"host={host}"},
            {"Server-Port": port, "Server-Name": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
        ):
            assert requests.get(server.url, headers=headers, timeout=TIMEOUT_S).status_code == 404


def test_without_it_one_address_serves_both(home: Path) -> None:
    with running_server(home) as server:
        assert requests.get(server.url, timeout=TIMEOUT_S).status_code == 200
        assert requests.get(f"{server.url}/v1/", timeout=TIMEOUT_S).status_code == 200


def test_a_wrong_address_is_named(home: Path) -> None:
    done = bootpilot(home, "serve", "--listen", "127.0.0.1:0", "--operators", "here")
    assert done.returncode == 1
    assert "--operators here: expected ADDRESS:PORT" in done.stderr
