"""A boot server in a folder of its own, and a client that talks to its application without a network."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bootpilot_agent.plan import Plan, Report
from bootpilot_server.config import Config
from bootpilot_server.server import Server, open_server
from bootpilot_server.site_folder.apply import Applied, apply_folder
from bootpilot_server.web.app import create_app
from tests.fakes.reports import body_of, make_report
from tests.fakes.site import INITRD, KERNEL, write_site


@dataclass
class Bench:
    """A server, a client of its web application, and the steps that tests repeat."""

    server: Server
    client: FlaskClient
    folder: Path

    def apply(self, **texts: str) -> Applied:
        """Put the demo's site in force, with these files besides or instead."""
        for content in (KERNEL, INITRD):
            self.server.artifacts.add(io.BytesIO(content))
        return apply_folder(write_site(self.folder / "site", **texts), self.server)

    def ask(self, report: Report, token: str = "") -> TestResponse:
        return self.client.post("/v1/boot", data=body_of(report), headers=bearer(token))

    def plan(self, report: Report | None = None, token: str = "") -> Plan:
        """The plan for this report, which must be given."""
        report = report or make_report()
        response = self.ask(report, token)
        assert response.status_code == 200, response.text
        return Plan.from_json(response.data, report.arch)

    def send(self, plan: Plan, path: str, body: Any, token: str | None = None) -> TestResponse:
        """POST to /v1/boots/{boot_id}/..., with the plan's token unless another is given."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = bearer(plan.token if token is None else token)
        return self.client.post(f"/v1/boots/{plan.boot_id}/{path}", data=data, headers=headers)

    def send_event(self, plan: Plan, name: str, seq: int = 0, source: str = "agent", **data: Any) -> TestResponse:
        event = {"source": source, "seq": seq, "name": name, "at_ms": 1000 + seq, "data": data}
        return self.send(plan, "events", {"version": 1, "events": [event]})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def make_bench(folder: Path, config: Config) -> Iterator[Bench]:
    server = open_server(config, create=True)
    app = create_app(server)
    yield Bench(server, app.test_client(), folder)
    server.database.close()
