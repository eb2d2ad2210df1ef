"""How long and how much the server keeps of what happened: the table [keep] of server.toml and its defaults. No I/O here."""

from dataclasses import dataclass, fields

from bootpilot_server.errors import OperatorError

DAY_S = 86_400.0


@dataclass(frozen=True)
class Keep:
    """A node's last boot is always kept. 0 means without bound; for `prune_minutes`, that the server never prunes by itself."""

    boots_days: int = 90
    boots_per_node: int = 50
    # Boots that were to install keep events and logs beyond all these bounds but those in MiB: so many of each node.
    installs_per_node: int = 5
    events_days: int = 90
    # Some 200 bytes each: the last ten boots of 100 000 boards.
    events_mib: int = 2048
    logs_days: int = 30
    # A question whose plan is over can only be refused; artifacts that nobody needs are known by those of a week.
    questions_days: int = 7
    history_days: int = 730
    refusals_days: int = 30
    prune_minutes: int = 60
    # How far back `bootpilot rollback` finds all that it needs after `bootpilot artifact prune`.
    artifact_revisions: int = 10

    @classmethod
    def from_table(cls, table: object) -> "Keep":
        """Raises OperatorError that names the key."""
        if not isinstance(table, dict):
            raise OperatorError(f"keep: expected a table, got {table!r}", "[keep], and below it for example logs_days = 30")
        known = [field.name for field in fields(cls)]
        for key, value in table.items():
            if key not in known:
                raise OperatorError(f"server.toml: unknown key keep.{key}", "known keys: " + ", ".join(known))
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1_000_000:
                raise OperatorError(f"keep.{key}: expected a number from 0 to 1000000, got {value!r}")
        return cls(**table)


KEEP = Keep()


def older_than(days: int, now: float) -> float:
    """Unix seconds; what happened before goes. Nothing ever does for 0 days."""
    return now - days * DAY_S if days else float("-inf")
