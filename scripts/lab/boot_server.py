"""A real boot server of its own for a demo or a test: a home folder, a process on a free port, its commands.

Starts `bootpilot` only; knows nothing about how it decides.
"""

import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lab.errors import LabError
from scripts.lab.site_folder import StoredArtifact

START_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 120.0
END_TIMEOUT_S = 10.0
# What fits on one line of a terminal beside time, source and name.
MOST_DETAILS = 90
BOOTPILOT = (sys.executable, "-m", "bootpilot_server")


@dataclass(frozen=True)
class ServerEvent:
    """One event as the server tells it."""

    boot_id: str
    source: str
    seq: int
    name: str
    data: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.boot_id, self.source, self.seq)

    def describe(self) -> str:
        """One line for a person."""
        details = ", ".join(f"{name} {value}" for name, value in self.data.items())
        shown = details if len(details) <= MOST_DETAILS else details[:MOST_DETAILS].rpartition(", ")[0] + ", ..."
        return f"{self.source} says {self.name}" + (f" ({shown})" if shown else "")


class BootServer:
    """One server with its home folder. `start` and `stop` may alternate; the port stays the same once it is known.

    With a certificate and its key it speaks HTTPS.
    """

    def __init__(self, home: Path, certificate: Path | None = None, key: Path | None = None) -> None:
        self.home = home
        self.port = 0
        self._tls = ("--certificate", str(certificate), "--key", str(key)) if certificate else ()
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """As seen from this machine."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def scheme(self) -> str:
        return "https" if self._tls else "http"

    @property
    def log_path(self) -> Path:
        return self.home / "server.log"

    def start(self, *options: str) -> None:
        """Serve, and return once it answers. Raises LabError with the end of the server's log."""
        port_file = self.home / "port"
        port_file.unlink(missing_ok=True)
        listen = f"127.0.0.1:{self.port}"
        argv = [*BOOTPILOT, "--home", str(self.home), "serve", "--listen", listen, "--port-file", str(port_file)]
        argv += [*self._tls, *options]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait_until_it_answers(port_file)
        except LabError:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server, if it runs, and reap it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def command(self, *words: str) -> str:
        """Run one `bootpilot` command on this home and return what it printed. Raises LabError with what it said."""
        argv = [*BOOTPILOT, "--home", str(self.home), *words]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise LabError(
                f"bootpilot {' '.join(words)}: exit code {done.returncode}\n{done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def json(self, *words: str) -> Any:
        """Like `command`, for those that speak JSON."""
        return json.loads(self.command(*words, "--json"))

    def nodes(self) -> list[dict[str, Any]]:
        """Every node as `bootpilot node show --json` tells it. Raises LabError."""
        listed = self.json("node", "list")
        return [self.json("node", "show", node["node_id"]) for node in listed]

    def events(self) -> list[ServerEvent]:
        """The events of every node's current boot. Raises LabError."""
        return [
            ServerEvent(node["boot_id"], event["source"], event["seq"], event["name"], event["data"])
            for node in self.nodes()
            for event in node["events"]
        ]

    def add_artifact(self, path: Path, name: str, unpacked_bytes: int = 0) -> StoredArtifact:
        """Take a file in, as an operator does. Raises LabError."""
        printed = self.command("artifact", "add", str(path), "--name", name)
        found = re.search(r"\b[0-9a-f]{64}\b", printed)
        if not found:
            raise LabError(f"bootpilot artifact add printed no SHA-256: {printed!r}")
        return StoredArtifact(found[0], name, unpacked_bytes)

    def apply(self, files: dict[str, str]) -> None:
        """Write the site's folder and put it in force. Raises LabError."""
        folder = self.home / "site"
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.command("check", str(folder))
        self.command("apply", str(folder), "--yes")

    def forget(self) -> None:
        """Lose the database, as a disk that died and was replaced does: what was in force is applied again, nothing else is
        known any more. The server must have stopped. Raises LabError.
        """
        for path in self.home.glob("state.sqlite*"):
            path.unlink()
        self.command("apply", str(self.home / "site"), "--yes")

    def _wait_until_it_answers(self, port_file: Path) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self._process is None or self._process.poll() is not None:
                raise LabError("the boot server ended at once; its log ends with:\n" + self._log_end())
            if port_file.exists() and (text := port_file.read_text().strip()):
                self.port = int(text)
                if self._answers():
                    return
            time.sleep(0.05)
        raise LabError(f"the boot server did not answer in {START_TIMEOUT_S:.0f} s; its log ends with:\n" + self._log_end())

    def _answers(self) -> bool:
        try:
            return fetch(self.port, "/v1/", tls=bool(self._tls)).startswith(b"{")
        except (OSError, http.client.HTTPException):
            return False

    def _log_end(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-20:])


def fetch(port: int, path: str, timeout_s: float = 10.0, *, tls: bool = False) -> bytes:
    """The body of a page on this machine's loopback. Raises OSError or HTTPException, also for a status other than 200.

    With `tls`, whoever is there is believed: it is a server of our own, which boards are to verify.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout_s, context=context)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise http.client.HTTPException(f"GET http://127.0.0.1:{port}{path}: {answer.status} {answer.reason}")
    return body


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
