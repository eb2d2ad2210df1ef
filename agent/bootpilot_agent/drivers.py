"""Loads kernel modules for the devices that are there, and for those that appear later. Owns the uevent socket and modprobe."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Driverless:
    """A device that no driver took: its modalias, its sysfs path, and why none was tried, if that is so."""

    modalias: str
    path: str
    reason: str = ""


class Coldplug:
    """`start()` once; then `poll()` whenever `fileno()` is readable, or now and then."""

    def __init__(self, root: Path = Path("/")) -> None:
        raise NotImplementedError

    def start(self) -> int:
        """Load drivers for everything present; returns the number of modaliases tried."""
        raise NotImplementedError

    def fileno(self) -> int:
        raise NotImplementedError

    def poll(self, timeout_s: float = 0.0) -> int:
        """Wait up to `timeout_s` for a new device, load drivers for all that came; returns the number of modaliases tried."""
        raise NotImplementedError

    def driverless(self) -> list[Driverless]:
        """Devices without a driver, network and storage first, for the console."""
        raise NotImplementedError
