"""Alembic's environment and, in versions/, one module for each revision of the tables."""
