"""Makes a tree that the agent and its tests can read of what scripts/capture-board packed. Called by scripts/board-tree."""
