"""Runs the application under gunicorn: the listening socket, its stall timers, and the announcement once it listens.

The sockets' own timers, set on the listener and inherited by every connection, end a download whose board lost its power:
without them each such board would hold one thread for a quarter of an hour.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from bootpilot_server.errors import OperatorError
from bootpilot_server.serving.gunicorn_worker import QuietLogger, Worker
from bootpilot_server.serving.tls_certificate import ServerCertificate

BACKLOG = 2048
DEAD_PEER_MS = 60_000
HEADERS_S = 30
ANYWHERE = "0.0.0.0"  # noqa: S104 (a boot server is there for the whole network)
GRACEFUL_S = 10
KEEPALIVE_S = 20


@dataclass(frozen=True)
class Listen:
    """Where to listen. Port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def from_text(cls, text: str, option: str = "--listen") -> "Listen":
        """`ADDR:PORT`, `[IPv6]:PORT` or `:PORT`. Raises OperatorError."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
            raise OperatorError(f"{option} {text}: expected ADDRESS:PORT", "for example 0.0.0.0:8080, [::]:8080 or 127.0.0.1:0")
        return cls(host.strip("[]"), int(port))


@dataclass(frozen=True)
class Workers:
    """Processes, and threads in each. A thread is held by one request or one download at a time."""

    processes: int
    threads: int


def open_default_listener(port: int = 8080) -> socket.socket:
    """Both families, or IPv4 alone where the kernel was started without IPv6. Raises OperatorError."""
    return open_listener(Listen("::" if Path("/proc/sys/net/ipv6").exists() else ANYWHERE, port))


def open_listener(listen: Listen) -> socket.socket:
    """A bound, listening socket. `[::]` takes IPv4 as well. Raises OperatorError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(listen.host or ANYWHERE, listen.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Inherited by connections, and in force while gunicorn waits for a request's headers without a time limit of its own.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", HEADERS_S, 0))
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        hint = "port 0 picks a free one" if error.errno == errno.EADDRINUSE else "ADDRESS:PORT can name another"
        raise OperatorError(f"cannot listen on {listen.host}:{listen.port}: {error.strerror}", hint) from error
    return listener


def url_of(bound: str, port: int, scheme: str = "http") -> str:
    """The URL under which a program on this machine reaches what is bound to this address."""
    shown = {ANYWHERE: "127.0.0.1", "::": "127.0.0.1"}.get(bound, f"[{bound}]" if ":" in bound else bound)
    return f"{scheme}://{shown}:{port}"


def write_port_file(path: Path, port: int) -> None:
    """Whole or not at all, so that whoever waits for it never reads half a number. Raises OperatorError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(f"{port}\n")
        draft.replace(path)
    except OSError as error:
        raise OperatorError(f"--port-file {path}: {error.strerror}", "its folder must exist and be writable") from error


def run(
    make_app: Callable[[], Flask],
    listeners: Sequence[socket.socket],
    workers: Workers,
    ready: Callable[[], None],
    certificate: ServerCertificate | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way get `GRACEFUL_S` to end. `make_app` is called in each worker.

    With a certificate HTTPS is spoken, and nothing else.
    """
    settings: dict[str, object] = {
        # gunicorn takes the descriptors over and closes these.
        "bind": [f"fd://{listener.detach()}" for listener in listeners],
        "workers": workers.processes,
        "threads": workers.threads,
        "worker_class": Worker,
        "logger_class": QuietLogger,
        "worker_connections": 4000,
        "keepalive": KEEPALIVE_S,
        "graceful_timeout": GRACEFUL_S,
        "control_socket_disable": True,
        "proc_name": "bootpilot",
        "loglevel": "warning",
        "when_ready": lambda _arbiter: ready(),
    }
    if certificate:
        # gunicorn takes the files' names for a sign that TLS is wanted, and asks for a context at each connection.
        settings |= {"certfile": str(certificate.certificate), "keyfile": str(certificate.key)}
        settings["ssl_context"] = lambda _config, _default: certificate.context()
    _Application(make_app, settings).run()


class _Application(BaseApplication):
    def __init__(self, make_app: Callable[[], Flask], settings: dict[str, object]) -> None:
        self._make_app = make_app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()
