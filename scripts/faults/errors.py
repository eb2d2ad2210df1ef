"""The errors of the fault matrix. No I/O here."""


class FaultsError(Exception):
    """The matrix itself could not do its work (no verdict on Bootpilot): `message` says what, `hint` what a person can do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message + (f"\n  hint: {self.hint}" if self.hint else "")


class ConfinementError(FaultsError):
    """A door to the machine stands open where the simulated board would run: nothing is started there."""
