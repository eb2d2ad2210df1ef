"""Boots know what they install, so that their logs are kept longer; and those that a board made without a server are known."""

import json

import sqlalchemy as sa
from alembic import op

revision = "disks"
down_revision = "grid"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("boots", sa.Column("installs", sa.Text, nullable=False, server_default=""))
    op.add_column("boots", sa.Column("booted_at", sa.Float))
    boots = sa.table("boots", sa.column("id"), sa.column("plan"), sa.column("installs"))
    connection = op.get_bind()
    for boot_id, text in connection.execute(sa.select(boots.c.id, boots.c.plan)).all():
        plan = json.loads(text)
        if plan.get("action") == "boot" and plan.get("install_id"):
            connection.execute(boots.update().where(boots.c.id == boot_id).values(installs=plan["install_id"]))
