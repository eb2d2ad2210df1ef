"""Every way a boot can fail, as types. No I/O here.

One root, split by the stage that failed, so that a caller reacts to a class and a person reads stage, cause and hint.
"""


class AgentError(Exception):
    """A boot step failed.

    `message` says what failed with the values that differ; `hint` says what a person can do next. `stage` names the step on
    the console and in the `failed` event; `exit_code` is stable for scripts.
    """

    stage = "agent"
    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.stage}: {self.message}" + (f"\n  hint: {self.hint}" if self.hint else "")


class SettingsError(AgentError):
    """No usable settings, e.g. no server named anywhere."""

    stage = "settings"
    exit_code = 64


class DriverError(AgentError):
    """Hardware that the boot needs has no driver."""

    stage = "drivers"
    exit_code = 65


class NetworkError(AgentError):
    """No interface, no lease, or no server that answers over any lease."""

    stage = "network"
    exit_code = 66


class TransportError(NetworkError):
    """No whole answer to one HTTP request: refused, reset, timed out, cut short, or TLS that does not hold."""


class ServerError(AgentError):
    """The boot server answered, but not with a plan. `retry_after_s` is what it asked for, if it did."""

    stage = "server"
    exit_code = 67

    def __init__(self, message: str, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after_s = retry_after_s


class QuestionRefusedError(ServerError):
    """409: this nonce was used, or its plan has expired, or the boot's token is wrong; ask anew."""


class PlanError(AgentError):
    """The plan is malformed, of another version, for somebody else, or asks for what this agent cannot or must not do."""

    stage = "plan"
    exit_code = 68


class MemoryTooSmallError(AgentError):
    """The payload does not fit in this board's memory; reckoned before the first byte is fetched."""

    stage = "memory"
    exit_code = 69


class FetchError(AgentError):
    """An artifact could not be downloaded from any of its URLs in time."""

    stage = "fetch"
    exit_code = 71


class VerifyError(AgentError):
    """What arrived is not what the plan promised: wrong size or SHA-256. It is deleted, never booted."""

    stage = "verify"
    exit_code = 72


class LocalBootError(AgentError):
    """The board's own disk holds no system that can be started, or not the one that is meant."""

    stage = "local"
    exit_code = 76


class KexecError(AgentError):
    """The kernel refused the payload, or kexec came back."""

    stage = "kexec"
    exit_code = 73


class KexecReturnedError(KexecError):
    """The jump itself came back: NICs are down and the card is unmounted, so only a reboot gives a known state."""

    exit_code = 75


class CommandError(AgentError):
    """A program that the agent runs failed; the message holds a pasteable command and the end of its error output."""

    stage = "command"
    exit_code = 74
