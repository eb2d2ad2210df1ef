"""What a person orders for a node: reinstall, rescue, start from the disk, follow the rules, hold, release,
retire, reboot, power off.

Works inside the transaction of the given connection, one node at a time; every order stands in the node's history with who
gave it. What follows is decided when the node asks next: nothing here reaches a board that runs.
"""

import uuid

from sqlalchemy import Connection

from bootpilot_agent.plan import Action
from bootpilot_server.deciding.approval import BY_NAME
from bootpilot_server.deciding.install_facts import LOCAL, ORDER, RESCUE, InstallFacts, InstallState
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import install_records, node_records, order_records


def reinstall(connection: Connection, node: NodeRecord, profile: str, now: float, by: str, way: str = BY_NAME) -> str:
    """A new install, whatever is on the disk. Whoever orders this for a board approves it by that, and ends its adoption if it
    is done by name. `way` is a word of deciding/approval.py. Returns the install id.
    """
    install = InstallFacts(str(uuid.uuid4()), ORDER, profile)
    if way == BY_NAME or node.approved_at is None:
        node_records.approve_node(connection, node.id, now, way, by)
    install_records.want(connection, node.id, install, now, by)
    _change(connection, node, f"reinstall with profile {profile}: install {install.id}", now, by, standing="", hold="")
    return install.id


def rescue(connection: Connection, node: NodeRecord, profile: str, now: float, by: str) -> str:
    """Until it is released the node boots this profile, which writes no disk."""
    _change(connection, node, f"rescue with profile {profile}", now, by, standing=RESCUE + profile)
    return ""


def start_from_disk(connection: Connection, node: NodeRecord, now: float, by: str) -> None:
    """Until it is released the node starts what is on its disk, whatever rules say."""
    _change(connection, node, "start from its disk", now, by, standing=LOCAL)


def hold(connection: Connection, node: NodeRecord, reason: str, now: float, by: str) -> None:
    """Until it is released the node waits."""
    _change(connection, node, f"hold: {reason}", now, by, hold=reason)


def release(connection: Connection, node: NodeRecord, now: float, by: str) -> None:
    """Back to what rules say: no hold, no standing order, not retired; what was given up is tried again."""
    again = install_records.release(connection, node.id)
    text = "released" + ("; what failed is tried again" if again else "")
    _change(connection, node, text, now, by, hold="", standing="", retired_at=None)


def follow_rules(connection: Connection, node: NodeRecord, now: float, by: str) -> None:
    """What was ordered besides a hold is over: rules decide about the node as if it had been installed by them."""
    ended = install_records.follow_rules(connection, node)
    standing = f"; `{node.standing}` ends" if node.standing else ""
    over = f"; install {ended.id} is {'past' if ended.state is InstallState.DONE else 'not wanted any more'}" if ended else ""
    _change(connection, node, f"follow the rules{standing}{over}", now, by, standing="")


def retire(connection: Connection, node: NodeRecord, now: float, by: str) -> None:
    """Out of service: it waits until it is released. Its record and history stay."""
    _change(connection, node, "retired", now, by, retired_at=now, standing="")


def give_once(connection: Connection, node: NodeRecord, action: Action, now: float, by: str) -> str:
    """Reboot or power off, at its next question. Returns the order's id."""
    order = order_records.give_order(connection, node.id, action, now, by)
    _change(connection, node, f"{action}: order {order.id}", now, by)
    return order.id


def _change(connection: Connection, node: NodeRecord, text: str, now: float, by: str, **values: object) -> None:
    if values:
        node_records.change_node(connection, node.id, **values)
    node_records.add_history(connection, node.id, f"ordered by {by}: {text}", now)
