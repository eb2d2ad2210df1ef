"""The boots of a node that were to install, the latest ones: what they sent is kept longer than that of others. Reads only."""

from sqlalchemy import ColumnElement, Select, func, select

from bootpilot_server.store.schema import boots


def latest_installs(count: int, node_id: str | None = None) -> Select[tuple[str]]:
    """The ids of the last `count` such boots (0: all) of this node, or of every one, to be asked for within another query."""
    place = func.row_number().over(partition_by=boots.c.node_id, order_by=(boots.c.started_at.desc(), boots.c.id))
    own: tuple[ColumnElement[bool], ...] = () if node_id is None else (boots.c.node_id == node_id,)
    ranked = select(boots.c.id, place.label("place")).where(boots.c.installs != "", *own).subquery()
    found = select(ranked.c.id)
    return found.where(ranked.c.place <= count) if count else found
