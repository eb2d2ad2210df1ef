"""The boot server as the program that people start, on a free port."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import requests

from bootpilot_agent.plan import Report
from tests.fakes.reports import body_of, make_report

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
ANSWER_S = 60
_NUMBERS = itertools.count(1)
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'server-stub'}"}


@dataclass
class RunningServer:
    """`url` is where it listens; `output` is the file of everything it said."""

    process: subprocess.Popen[bytes]
    url: str
    output: Path

    def kill(self) -> None:
        """As the power does it: master and workers at once, no goodbye."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def running_server(
    home: Path,
    *options: str,
    listen: str = "127.0.0.1:0",
    environment: Mapping[str, str] = MappingProxyType({}),
    settings: str = "",
    within: Sequence[str] = (),
) -> Iterator[RunningServer]:
    """Started when this is entered, gone when it is left. `settings` is Python that runs first and shortens what takes long;
    `within` are the words of a program that starts the server in a world of its own.
    """
    number = next(_NUMBERS)
    port_file, output = home.parent / f"server-{number}.port", home.parent / f"server-{number}.output"
    program = ["-c", f"{settings}\nfrom bootpilot_server.cli import main\nmain()"] if settings else ["-m", "bootpilot_server"]
    argv = [*within, sys.executable, *program, "--home", str(home), "serve", "--listen", listen]
    with output.open("wb") as said:
        process = subprocess.Popen(
            [*argv, "--port-file", str(port_file), *options],
            env={**ENVIRONMENT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        host = listen.rpartition(":")[0]
        scheme = "https" if "--certificate" in options else "http"
        yield RunningServer(process, f"{scheme}://{host}:{_wait_for_port(port_file, process, output)}", output)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def bootpilot(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of `bootpilot`, as a person types it."""
    argv = [sys.executable, "-m", "bootpilot_server", "--home", str(home), *arguments]
    return subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def _wait_for_port(port_file: Path, process: subprocess.Popen[bytes], output: Path) -> int:
    deadline = time.monotonic() + START_S
    while not port_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the server did not start: {output.read_text()}")
        time.sleep(0.05)
    return int(port_file.read_text())


def ask(server: RunningServer, report: Report | None = None, token: str = "") -> requests.Response:
    """POST /v1/boot as a board does; `report` is a new board's if none is given."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(f"{server.url}/v1/boot", data=body_of(report or make_report()), headers=headers, timeout=ANSWER_S)
