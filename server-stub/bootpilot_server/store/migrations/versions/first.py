"""Schema version 1, of the first servers. Only where others begin: upgrade.py makes new databases from today's tables."""

revision = "first"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: whoever has this revision has its tables."""
