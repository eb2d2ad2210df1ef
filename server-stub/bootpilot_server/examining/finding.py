"""What was found, and what to do about it. No I/O here."""

from dataclasses import dataclass
from enum import StrEnum

from bootpilot_agent.fields import Json


class Grade(StrEnum):
    """How bad it is."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """`hint` says what to do; "" where all is well."""

    grade: Grade
    subject: str
    text: str
    hint: str = ""

    def to_json(self) -> dict[str, Json]:
        return {"grade": self.grade.value, "subject": self.subject, "text": self.text, "hint": self.hint}


def good(subject: str, text: str) -> Finding:
    return Finding(Grade.GOOD, subject, text)


def note(subject: str, text: str, hint: str = "") -> Finding:
    return Finding(Grade.NOTE, subject, text, hint)


def bad(subject: str, text: str, hint: str) -> Finding:
    return Finding(Grade.BAD, subject, text, hint)
