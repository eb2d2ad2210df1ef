"""Written boots: a board, its network, a server and what goes wrong, as data. Who runs them stands elsewhere."""
