"""The database: its tables, its one writer, and what is kept of nodes and boots."""
