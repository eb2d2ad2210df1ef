"""Orders to reboot or power off, in the database, inside the transaction of the given connection.

An order is given to one question and spent by that, whether or not the answer arrives: a board that is told twice to power off
would do so once more after a person has switched it on.
"""

import uuid

from sqlalchemy import Connection, select, update

from bootpilot_agent.plan import Action
from bootpilot_server.deciding.install_facts import Order
from bootpilot_server.store.schema import orders

# An order that nobody asked for within a day is over: neither a board switched on next month, nor a database that is put back
# from last week, carries out what has long been forgotten.
LIFE_S = 86400.0


def give_order(connection: Connection, node_id: str, action: Action, now: float, by: str) -> Order:
    """Stands in place of an earlier one that is not spent yet."""
    connection.execute(orders.delete().where(orders.c.node_id == node_id, orders.c.spent_at.is_(None)))
    order = Order(str(uuid.uuid4()), action)
    connection.execute(orders.insert().values(id=order.id, node_id=node_id, action=action.value, ordered_at=now, by=by))
    return order


def open_order(connection: Connection, node_id: str, now: float) -> Order | None:
    mine = (orders.c.node_id == node_id, orders.c.spent_at.is_(None), orders.c.ordered_at > now - LIFE_S)
    row = connection.execute(select(orders).where(*mine).order_by(orders.c.ordered_at.desc()).limit(1)).one_or_none()
    return Order(row.id, Action(row.action)) if row else None


def spend(connection: Connection, order_id: str, now: float, boot_id: str) -> None:
    connection.execute(update(orders).where(orders.c.id == order_id).values(spent_at=now, spent_boot=boot_id))
