"""The Bootpilot agent: the program on every card that asks a boot server what to boot, checks it, and boots it."""

__version__ = "0.1.0"
