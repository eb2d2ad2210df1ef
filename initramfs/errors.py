"""The one error of the builder. No I/O here."""


class BuildError(Exception):
    """A build step failed: `message` says what, `hint` what a person can do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message + (f"\n  hint: {self.hint}" if self.hint else "")
