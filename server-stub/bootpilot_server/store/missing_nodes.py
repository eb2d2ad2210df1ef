"""Nodes of which nothing was heard since a time, inside the transaction of the given connection."""

from collections.abc import Sequence

from sqlalchemy import Connection, Row, func, select

from bootpilot_server.store.schema import boots, events, nodes


def list_missing(connection: Connection, since: float) -> Sequence[Row[tuple[object, ...]]]:
    """Rows have id, model, serial, address, told_at, current_boot and profile; longest missing first.

    Records of a contradiction are no boards, and of a retired one nobody expects to hear.
    """
    of_its_boot = select(func.max(events.c.received_at)).where(events.c.boot_id == nodes.c.current_boot)
    told = func.coalesce(of_its_boot.correlate(nodes).scalar_subquery(), nodes.c.last_seen_at)
    known = (
        select(
            nodes.c.id,
            nodes.c.model,
            nodes.c.serial,
            nodes.c.address,
            nodes.c.last_seen_at,
            told.label("told_at"),
            nodes.c.current_boot,
            boots.c.profile,
        )
        .join(boots, boots.c.id == nodes.c.current_boot)
        .where(nodes.c.conflict == "", nodes.c.retired_at.is_(None), nodes.c.last_seen_at < since)
        .subquery()
    )
    return connection.execute(select(known).where(known.c.told_at < since).order_by(known.c.told_at, known.c.id)).all()
