"""Schema version 2: what a boot was told to start, the loaders before it, and what became of each loader on each node."""

import sqlalchemy as sa
from alembic import op

revision = "loaders"
down_revision = "first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("boots", sa.Column("loader", sa.Text, nullable=False, server_default=""))
    op.add_column("boots", sa.Column("loader_builds", sa.Text, nullable=False, server_default="[]"))
    op.create_table(
        "loader_tries",
        sa.Column("node_id", sa.Text, sa.ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("build", sa.Text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("offers", sa.Integer, nullable=False),
        sa.Column("last_failure", sa.Text, nullable=False),
    )
