"""Files by their digest: import, storage, pruning."""
