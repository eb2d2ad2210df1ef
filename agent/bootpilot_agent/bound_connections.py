"""Connections of the HTTP library that are bound to an interface and resolve names with its name servers."""

import socket
from typing import Any, Protocol

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

CONNECT_S = 10.0


class Connector(Protocol):
    """Who makes the connections, and is told of each."""

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """Raises TransportError."""

    def watch(self, connection: HTTPConnection) -> None:
        """It stands, TLS included."""


class BoundAdapter(HTTPAdapter):
    """requests' adapter with connections that are bound to an interface and resolve names with its name servers."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        super().__init__(pool_connections=8, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self._connector)


def _pool_classes(connector: Connector) -> dict[str, type[HTTPConnectionPool]]:
    class Bound(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connector.connect(self.host, self.port, float(self.timeout or CONNECT_S))

        def connect(self) -> None:
            super().connect()
            connector.watch(self)

    class BoundTls(Bound, HTTPSConnection):
        pass

    class BoundPool(HTTPConnectionPool):
        ConnectionCls = Bound

    class BoundTlsPool(HTTPSConnectionPool):
        ConnectionCls = BoundTls

    return {"http": BoundPool, "https": BoundTlsPool}


def connect_bound(address: str, port: int, interface: str, timeout_s: float) -> socket.socket:
    """A TCP connection to an IP address, over this interface ("" for any). Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.settimeout(timeout_s)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if interface:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        bound.connect(socket.getaddrinfo(address, port, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)[0][4])
    except BaseException:
        bound.close()
        raise
    return bound
