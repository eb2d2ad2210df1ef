"""The hardware watchdog: reboots the board when the agent hangs. Owns /dev/watchdog and the thread that feeds it."""

from pathlib import Path


class Watchdog:
    """Feeds the device only while `beat()` was called recently. An object without a device does nothing in all methods."""

    @classmethod
    def open(cls, timeout_s: int, *, keep_allowed: bool = False, root: Path = Path("/")) -> "Watchdog":
        """Open and start it, if there is one that can be stopped again. `timeout_s` 0: no watchdog. Never raises.

        `keep_allowed`: also one that cannot be stopped (the payload feeds it).
        """
        raise NotImplementedError

    def beat(self) -> None:
        """The main loop is alive. Only the main loop may call this."""
        raise NotImplementedError

    def stop(self) -> None:
        """Magic close: the watchdog stands still afterwards."""
        raise NotImplementedError

    def keep(self) -> None:
        """Feed it once more and let it run over the jump: the payload must feed it."""
        raise NotImplementedError

    def describe(self) -> str:
        """For the console: which watchdog, or why none."""
        raise NotImplementedError
