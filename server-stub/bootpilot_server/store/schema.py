"""The tables of HOME/state.sqlite. No I/O here; `upgrade.py` makes them.

Times ending in _at are Unix seconds by the server's clock. No token is stored anywhere; nonces are stored and never shown.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

# The newest of migrations/versions/. Every change of a table here goes into that revision too, or into a new one.
REVISION = "grid"

metadata = MetaData()


def _boot_key(*, primary_key: bool = False) -> Column[str]:
    return Column("boot_id", Text, ForeignKey("boots.id", ondelete="CASCADE"), primary_key=primary_key, nullable=False)


# Alembic's own table, which holds one row: the revision of all others.
alembic_version = Table("alembic_version", metadata, Column("version_num", String(32), primary_key=True))

# What the server knows of itself: `server_id`, by which a database is known to be the same one after a restore.
about = Table("about", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

nodes = Table(
    "nodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("simulated", Boolean, nullable=False),
    # Not "" for a record that stands for a contradiction: it is shown to a person and never matched.
    Column("conflict", Text, nullable=False, default=""),
    Column("approved_at", Float),
    Column("address", Text, nullable=False, default=""),
    # The last report as JSON, without its nonce; model and serial are drawn out of it for lists.
    Column("report", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("current_boot", Text),
    # Boots in a row that failed or fell silent, the current one not counted.
    Column("failures", Integer, nullable=False, default=0),
    Index("nodes_last_seen", "last_seen_at"),
    Index("nodes_approved", "approved_at"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("grade", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("first_seen_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Index("evidence_value", "kind", "value"),
)

boots = Table(
    "boots",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    Column("first_nonce", Text, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("planned_at", Float, nullable=False),
    Column("agent_version", Text, nullable=False),
    Column("build_id", Text, nullable=False),
    # The last decision.
    Column("plan", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("expects", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    # What the events amount to: the one that counts as latest, and the moments that start or end a deadline.
    Column("event_rank", Integer, nullable=False, default=-1),
    Column("event", Text, nullable=False, default=""),
    Column("event_data", Text, nullable=False, default="{}"),
    Column("handover_at", Float),
    Column("alive_at", Float),
    Column("failed_at", Float),
    Column("failure", Text, nullable=False, default=""),
    Column("done_at", Float),
    Column("install_id", Text),
    # The build of the loader that the last plan starts, "" for any other payload; and the loaders since power-on, as JSON.
    Column("loader", Text, nullable=False, default="", server_default=""),
    Column("loader_builds", Text, nullable=False, default="[]", server_default="[]"),
    Index("boots_of_node", "node_id", "started_at"),
)

# What became of newer loaders on a node: failures and offers in a row.
loader_tries = Table(
    "loader_tries",
    metadata,
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    Column("build", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("offers", Integer, nullable=False),
    Column("last_failure", Text, nullable=False),
)

questions = Table(
    "questions",
    metadata,
    _boot_key(primary_key=True),
    Column("nonce", Text, primary_key=True),
    Column("body_sha256", Text, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("valid_s", Integer, nullable=False),
    # The plan's exact bytes but for the token, which is put back when it is rendered.
    Column("plan", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    _boot_key(primary_key=True),
    Column("source", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("at_ms", Integer, nullable=False),
    Column("data", Text, nullable=False),
    Column("received_at", Float, nullable=False),
)

# The server's own entries about a node: what a person would ask for later.
history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node_id", Text, ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    Column("boot_id", Text),
    Column("at", Float, nullable=False),
    Column("text", Text, nullable=False),
    Index("history_of_node", "node_id", "id"),
)

log_chunks = Table(
    "log_chunks",
    metadata,
    _boot_key(primary_key=True),
    Column("source", Text, primary_key=True),
    Column("offset", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

recordings = Table(
    "recordings",
    metadata,
    _boot_key(primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("received_at", Float, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("added_at", Float, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("applied_at", Float, nullable=False),
    # {path: text} of the whole folder, as it was checked.
    Column("texts", Text, nullable=False),
)

# Reports that could not be accepted, so that a board which is refused is not invisible. Bounded, oldest out first.
refusals = Table(
    "refusals",
    metadata,
    Column("address", Text, primary_key=True),
    Column("detail", Text, primary_key=True),
    Column("times", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
)
