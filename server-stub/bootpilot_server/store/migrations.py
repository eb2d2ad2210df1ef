"""Brings the database of an older program up to this one's tables. No I/O here; `database.py` runs the statements.

Each row leads from one schema version to the next, in statements that stay as they are for ever: what a table looks like
today is in `schema.py`.
"""

from collections.abc import Sequence

# Version -> the statements that make the next one of it.
MIGRATIONS: dict[int, Sequence[str]] = {
    # Newer loaders: what a boot was told to start, the loaders before it, and what became of each loader on each node.
    1: (
        "ALTER TABLE boots ADD COLUMN loader TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE boots ADD COLUMN loader_builds TEXT NOT NULL DEFAULT '[]'",
        """
        CREATE TABLE loader_tries (
            node_id TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
            build TEXT NOT NULL,
            failures INTEGER NOT NULL,
            offers INTEGER NOT NULL,
            last_failure TEXT NOT NULL,
            PRIMARY KEY (node_id, build)
        )
        """,
    ),
}
