"""How much of logs and recordings is kept: so much of each node, so much in all, and those of the oldest boots go first.

Those of a node's last installs go last of all, and never because the node has sent too much since. A boot keeps its
events, plan and reasons; only what it sent by the megabyte goes.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, union_all

from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.store.keeping import KEEP
from bootpilot_server.store.latest_installs import latest_installs
from bootpilot_server.store.schema import boots, log_chunks, recordings

# Room for a node's last boot at its worst (four logs of 4 MiB and a recording), and for hundreds of ordinary ones.
MAX_NODE_BYTES = 32 << 20
# Adding everything up takes a while once there are gigabytes, so it is done only after this part of the bound has come in.
RECKON_PART = 64


@dataclass(frozen=True)
class _Sent:
    """What one boot has sent. `installs`: it is one of its node's last installs."""

    boot_id: str
    size_bytes: int
    installs: bool


class LogRetention:
    """The bounds, for one process. Of several each reckons for itself: each may let a RECKON_PART too much in."""

    def __init__(self, most_bytes: int, installs_per_node: int = KEEP.installs_per_node) -> None:
        self._most_bytes = most_bytes
        self._installs = installs_per_node
        self._lock = threading.Lock()
        # Unknown what is there already: the first piece makes it add up.
        self._since_reckoning = most_bytes

    def trim(self, connection: Connection, boot: BootRecord, added_bytes: int) -> None:
        """After this boot has sent so much. Its own stays."""
        others = [sent for sent in self._sizes(connection, boot.node_id) if not sent.installs]
        _drop_oldest(connection, others, MAX_NODE_BYTES, boot.id)
        if self._is_due(added_bytes):
            _drop_oldest(connection, self._sizes(connection), self._most_bytes, boot.id)

    def _is_due(self, added_bytes: int) -> bool:
        with self._lock:
            self._since_reckoning += added_bytes
            is_due = self._since_reckoning >= self._most_bytes // RECKON_PART
            if is_due:
                self._since_reckoning = 0
            return is_due

    def _sizes(self, connection: Connection, node_id: str | None = None) -> list[_Sent]:
        """Boots with what each has sent: the last installs first, and of both kinds the newest first."""
        last_installs = {row.id for row in connection.execute(latest_installs(self._installs, node_id))}
        sent = [_Sent(boot_id, size, boot_id in last_installs) for boot_id, size in _newest_first(connection, node_id)]
        return sorted(sent, key=lambda one: not one.installs)


def _newest_first(connection: Connection, node_id: str | None) -> list[tuple[str, int]]:
    pieces = union_all(
        select(log_chunks.c.boot_id, func.length(log_chunks.c.data).label("bytes")),
        select(recordings.c.boot_id, func.length(recordings.c.data).label("bytes")),
    ).subquery()
    query = select(boots.c.id, func.sum(pieces.c.bytes)).join(pieces, pieces.c.boot_id == boots.c.id)
    if node_id is not None:
        query = query.where(boots.c.node_id == node_id)
    order = (boots.c.started_at.desc(), boots.c.id)
    return [(boot_id, size) for boot_id, size in connection.execute(query.group_by(boots.c.id).order_by(*order))]


def _drop_oldest(connection: Connection, sizes: Iterable[_Sent], most_bytes: int, spared: str) -> None:
    total = 0
    for sent in sizes:
        total += sent.size_bytes
        if total > most_bytes and sent.boot_id != spared:
            total -= sent.size_bytes
            connection.execute(log_chunks.delete().where(log_chunks.c.boot_id == sent.boot_id))
            connection.execute(recordings.delete().where(recordings.c.boot_id == sent.boot_id))
