"""How a moment is written for people: UTC, always with its name. No I/O here."""

from datetime import UTC, datetime


def moment(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
