"""Whether a bearer token still speaks for a boot."""

from sqlalchemy import Connection

from bootpilot_server.asking.tokens import make_token, same_token
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.errors import ProblemError
from bootpilot_server.server import Server
from bootpilot_server.store import boot_records, node_records

LIFETIME_S = 24 * 3600


def token_of(server: Server, boot: BootRecord) -> str:
    return make_token(server.secret_key, boot.token_node or boot.node_id, boot.id, boot.first_nonce)


def is_alive(connection: Connection, boot: BootRecord, now: float) -> bool:
    """A token lives until a later boot of its node is given a plan, or 24 hours after its last plan."""
    node = node_records.find_node(connection, boot.node_id)
    return node is not None and node.current_boot == boot.id and now <= boot.planned_at + LIFETIME_S


def require_token(server: Server, connection: Connection, boot_id: str, token: str, now: float) -> BootRecord:
    """The boot that this token speaks for. Raises ProblemError 401; an unknown boot and a wrong token look the same."""
    boot = boot_records.find_boot(connection, boot_id)
    if boot is None or not same_token(token_of(server, boot), token):
        raise ProblemError(401, "the bearer token is not that of this boot; the plan carries the right one")
    if not is_alive(connection, boot, now):
        raise ProblemError(401, "the token of this boot has ended: a later boot of the node began, or 24 hours are over")
    return boot
