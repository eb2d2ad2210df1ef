"""What can go wrong on the server, as types. No I/O here.

`ProblemError` is an answer to a client (RFC 9457); `OperatorError` is an answer to the person who typed a command.
"""

from bootpilot_agent.fields import Json


class OperatorError(Exception):
    """A command cannot do what was asked. `hint` says what would help; `exit_code` is stable for scripts."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message + (f"\n  hint: {self.hint}" if self.hint else "")


class HomeError(OperatorError):
    """The server's folder, its key or its database cannot be used: nothing that another argument would cure."""

    exit_code = 3


class ProblemError(Exception):
    """A refusal with its HTTP status and a `detail` that a person can act on; `extra` are further members of the document."""

    def __init__(self, status: int, detail: str, *, retry_after_s: int | None = None, **extra: Json) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.extra = extra


class DatabaseUnavailableError(Exception):
    """The database is locked, full, damaged or gone. A fault of the server: 503 for a client, exit code 3 for a person."""
