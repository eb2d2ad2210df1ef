"""The commands that resolve a contradiction, for the people who see it on a page or in a terminal. No I/O here."""

from bootpilot_server.deciding.records import NodeRecord


def remedies(record: NodeRecord) -> list[tuple[str, str]]:
    """Command and meaning. The ids are the server's own, so nothing that a board said stands in a command."""
    if not record.conflict:
        return []
    found = [
        (f"bootpilot node merge {node_id} {record.id}", f"this board is node {node_id}, and others with its evidence lose it")
        for node_id in record.read_conflict_with()
    ]
    found += [
        (
            f"bootpilot node replace {node_id} --with {record.id}",
            f"node {node_id} has this board or card instead of its own",
        )
        for node_id in record.read_conflict_with()
    ]
    shared = "bootpilot node split NODE --evidence KIND=VALUE --shared KIND=VALUE"
    return [*found, (shared, "two boards show one value: it is to name neither")] if found else []
