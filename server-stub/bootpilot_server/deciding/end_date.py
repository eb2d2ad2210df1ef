"""Until when something holds, as an operator writes it. No I/O here; all days are those of UTC."""

from datetime import UTC, date, datetime, time, timedelta

EXPECTED = "a date such as 2027-03-31, through whose end (UTC) it holds, or a time such as 2027-03-31T18:00:00Z"


def end_of(value: object) -> float:
    """The end in Unix seconds: of a day its last moment, of a time without a zone that time in UTC. Raises ValueError."""
    if isinstance(value, str):
        value = _parse(value.strip())
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date) and value < date.max:
        return datetime.combine(value + timedelta(days=1), time(), UTC).timestamp()
    raise ValueError(EXPECTED)


def _parse(text: str) -> object:
    try:
        return date.fromisoformat(text) if len(text) <= len("2027-03-31") else datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(EXPECTED) from error
