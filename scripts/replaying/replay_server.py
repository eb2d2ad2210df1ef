"""The recorded boot server on real sockets: says what the script says, byte by byte when the recorded one did.

A connection that was refused is taken and reset at once: whether the next one is to be refused is known only from its request.
"""

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.lab.scripted_server import Reply, Request, ScriptedServer
from scripts.replaying.breaks import Break
from scripts.replaying.played import Asked, Played
from scripts.replaying.script import Script

METHODS = ("GET", "POST", "PUT")
# Of the connection, not of the answer; the server makes its own.
OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
NO_BODY = (204, 304)


@dataclass
class ReplayServer:
    """One listener of the recorded server. Several may share a script and its `lock`; use `server` as a context manager.

    `origin`: what the board calls this server, `http://10.1.0.1:8080`; `interface`: the board's, by which it comes here, or
    `interfaces`: by the board's address.
    """

    script: Script
    origin: str
    address: str = "127.0.0.1"
    port: int = 0
    interface: str = ""
    tls: ssl.SSLContext | None = None
    interfaces: Mapping[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    server: ScriptedServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = ScriptedServer(address=self.address, listen_port=self.port, tls=self.tls)
        for method in METHODS:
            self.server.on(method, "/*", self.reply)

    def reply(self, request: Request) -> Reply:
        """What the script says to this request."""
        interface = self.interfaces.get(request.peer, self.interface)
        asked = Asked(request.method, self.origin + request.path, request.headers, request.body, interface)
        with self.lock:
            return to_reply(self.script.answer(asked))


def to_reply(played: Played) -> Reply:
    """The answer as the scripted server sends it."""
    if played.status is None:
        return Reply(silent=played.breaks is Break.SILENT, lost=True, reset=played.breaks in (Break.REFUSED, Break.RESET))
    length = played.headers.get("content-length", "")
    extra = tuple((name, value) for name, value in played.headers.items() if name not in OWN_HEADERS)
    size = len(played.body)
    return Reply(
        status=played.status,
        body=played.body,
        headers=extra,
        length=int(length) if length.isdigit() else 0 if played.status in NO_BODY else None,
        marks=played.marks,
        cut_after=size if played.breaks not in (None, Break.SILENT) else None,
        reset=played.breaks is Break.RESET,
        stall_after=size if played.breaks is Break.SILENT else None,
    )
