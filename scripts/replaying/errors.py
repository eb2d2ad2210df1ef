"""The errors of a replay. No I/O here."""


class ReplayError(Exception):
    """A recording that cannot be replayed (no verdict on the agent): `message` says why, `hint` what a person can do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message + (f"\n  hint: {self.hint}" if self.hint else "")
