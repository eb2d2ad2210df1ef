"""Reads what hardware the board has from /proc and /sys. Everything read is bounded and may be binary."""

from pathlib import Path

from bootpilot_agent.card import Card
from bootpilot_agent.inventory import Inventory


def read_inventory(root: Path = Path("/"), card: Card | None = None) -> Inventory:
    """The whole board. Every medium that holds the card's PARTUUID is marked as boot medium. Never raises."""
    raise NotImplementedError
