"""The pure core: nouns, selection, identity, decisions. Imports nothing that does I/O."""
