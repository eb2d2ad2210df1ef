"""The one error of the harness. No I/O here."""


class LabError(Exception):
    """The harness itself could not do its work (no verdict on Bootpilot): `message` says what, `hint` what a person can do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message + (f"\n  hint: {self.hint}" if self.hint else "")
