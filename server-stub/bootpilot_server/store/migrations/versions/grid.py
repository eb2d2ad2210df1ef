"""The server of a grid. One revision, which grows until that server is released; then the next one begins."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "grid"
down_revision = "loaders"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _store()
    _nodes()
    _enrolment()
    _rollouts()
    _installs()


def _store() -> None:
    """What the server knows of itself: by its id a database is known to be the same one after a restore."""
    about = op.create_table("about", sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))
    op.bulk_insert(about, [{"key": "server_id", "value": str(uuid.uuid4())}])


def _nodes() -> None:
    """What operators say of nodes, how nodes were approved, and what became of their evidence."""
    for name, default in (
        ("name", ""),
        ("labels", "{}"),
        ("static_address", ""),
        ("profile_override", ""),
        ("approval", ""),
        ("approved_by", ""),
        ("batch", ""),
        ("hold", ""),
        ("wanted_install", ""),
        ("conflict_with", "[]"),
    ):
        op.add_column("nodes", sa.Column(name, sa.Text, nullable=False, server_default=default))
    op.add_column("nodes", sa.Column("approved_grade", sa.Integer, nullable=False, server_default="0"))
    op.add_column("nodes", sa.Column("retired_at", sa.Float))
    op.add_column("nodes", sa.Column("adopted_at", sa.Float))
    # There was no other way.
    op.execute("UPDATE nodes SET approval = 'name' WHERE approved_at IS NOT NULL")
    for index in ("approval", "name", "conflict"):
        op.create_index(f"nodes_{index}", "nodes", [index])
    op.add_column("boots", sa.Column("token_node", sa.Text, nullable=False, server_default=""))
    op.add_column("evidence", sa.Column("first_boot", sa.Text, nullable=False, server_default=""))
    op.add_column("evidence", sa.Column("last_boot", sa.Text, nullable=False, server_default=""))
    op.add_column("evidence", sa.Column("left_at", sa.Float))
    op.create_table(
        "evidence_history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("node_id", sa.Text, sa.ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("first_seen_at", sa.Float, nullable=False),
        sa.Column("last_seen_at", sa.Float, nullable=False),
        sa.Column("first_boot", sa.Text, nullable=False),
        sa.Column("last_boot", sa.Text, nullable=False),
        sa.Column("left_at", sa.Float, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_index("evidence_history_of_node", "evidence_history", ["node_id", "id"])


def _enrolment() -> None:
    """Boards announced by lists, enrolled by batches, told apart and put together by operators."""
    op.create_table(
        "expected_evidence",
        sa.Column("node_id", sa.Text, sa.ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
    )
    op.create_index("expected_evidence_value", "expected_evidence", ["kind", "value"])
    op.create_table(
        "shared_evidence",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
    )
    op.create_table(
        "former_ids",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("node_id", sa.Text, sa.ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
    )
    op.create_index("former_ids_of_node", "former_ids", ["node_id"])
    op.create_table(
        "batches",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("secret_sha256", sa.Text, nullable=False),
        sa.Column("max_count", sa.Integer, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("closed_at", sa.Float),
    )
    op.create_table(
        "wrong_enrolments",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("first_at", sa.Float, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
    )


def _rollouts() -> None:
    """Who put what in force, rollouts, and slots for installs and large downloads."""
    for name in ("applied_by", "note"):
        op.add_column("revisions", sa.Column(name, sa.Text, nullable=False, server_default=""))
    for name in ("slot_until", "queued_at", "queued_until"):
        op.add_column("boots", sa.Column(name, sa.Float))
    for name in ("rollout", "queue"):
        op.add_column("boots", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.create_index("boots_slot", "boots", ["slot_until"])
    op.create_index("boots_queue", "boots", ["queue", "queued_at", "queued_until", "node_id"])
    op.create_table(
        "rollouts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("selector", sa.Text, nullable=False),
        sa.Column("waves", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("max_concurrent", sa.Integer, nullable=False),
        sa.Column("stop_at", sa.Text, nullable=False),
        sa.Column("soak_s", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("checked_at", sa.Float, nullable=False),
    )
    op.create_table(
        "rollout_tickets",
        sa.Column("rollout", sa.Text, sa.ForeignKey("rollouts.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("node_id", sa.Text, primary_key=True),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("taken_at", sa.Float, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("busy_until", sa.Float),
        sa.Column("well_at", sa.Float),
        sa.Column("failed_at", sa.Float),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("former", sa.Text, nullable=False),
    )
    op.create_index("rollout_tickets_of_node", "rollout_tickets", ["node_id"])
    for name, column in (("wave", "wave"), ("failed", "failed_at"), ("busy", "busy_until")):
        op.create_index(f"rollout_tickets_{name}", "rollout_tickets", ["rollout", column])
    op.create_table(
        "rollout_history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("rollout", sa.Text, sa.ForeignKey("rollouts.name", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("rollout_history_of", "rollout_history", ["rollout", "id"])


def _installs() -> None:
    """Every install that was wanted on a node, and orders."""
    op.add_column("nodes", sa.Column("standing", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "installs",
        sa.Column("node_id", sa.Text, sa.ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("install_id", sa.Text, primary_key=True),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("wanted_at", sa.Float, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("takes", sa.Integer, nullable=False),
        sa.Column("local_failures", sa.Integer, nullable=False),
        sa.Column("done_at", sa.Float),
        sa.Column("last_failure", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("node_id", sa.Text, sa.ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("ordered_at", sa.Float, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("spent_at", sa.Float),
        sa.Column("spent_boot", sa.Text),
    )
    op.create_index("orders_of_node", "orders", ["node_id", "spent_at"])
