"""Where the flight recorder listens: each door of the agent tells what went through it. No I/O here; it keeps nothing.

Without a recorder (tests, other programs) every word goes to one that does nothing. It is flight.py, so that the doors import
no more than this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bootpilot_agent.fields import Json


@dataclass(frozen=True)
class Request:
    """A request over HTTP as it goes out; `connection` numbers the agent's connections."""

    connection: int
    interface: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """Listens to one exchange over HTTP; this one does not. `done` comes last, whatever happens."""

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer is there."""

    def took(self, chunk: bytes) -> None:
        """A piece of its body is."""

    def made_whole(self, sha256: str) -> None:
        """The answer completed a file with this digest, right or wrong."""

    def done(self, error: BaseException | None) -> None:
        """No more comes. `error` says why, if it is not the end."""


class Tap:
    """Listens at the doors; this one does not. Nothing here raises, or takes longer than it must: it is called by the boot."""

    def read(self, path: Path, content: bytes) -> None:
        """A file was read, as far as it was wanted."""

    def listed(self, folder: Path, names: Sequence[str]) -> None:
        """The names in a folder."""

    def followed(self, link: Path) -> None:
        """A link of /sys was followed."""

    def read_blocks(self, disk: str, offset: int, content: bytes) -> None:
        """A piece of a disk was read, past any file system."""

    def heard_uevent(self, properties: Mapping[str, str]) -> None:
        """A device came or went."""

    def took_dhcp(self, interface: str, dump: bytes) -> None:
        """What the hook of the DHCP client left."""

    def ran(self, argv: Sequence[str], returncode: int | None, stdout: str, stderr: str) -> None:
        """A program ended; None if it did not, or was not started."""

    def read_clock(self, real_s: float, *, corrected: bool = False) -> None:
        """The wall clock's time; `corrected` if the agent has just set it so."""

    def asked(self, request: Request) -> Exchange:
        """A request goes out."""
        return Exchange()

    def added_event(self, name: str, data: "Mapping[str, Json]") -> None:
        """The journal took an event."""

    def said(self, text: str) -> None:
        """Something was said on the console."""


# Who listens now. Asked for at each word, so that it may change.
_LISTENERS: list[Tap] = [Tap()]


def tap() -> Tap:
    """Who listens now."""
    return _LISTENERS[-1]


def listen(listener: Tap) -> None:
    """From now on everything is told to this one."""
    _LISTENERS[-1] = listener


def stop_listening() -> None:
    """From now on nobody listens."""
    _LISTENERS[-1] = Tap()
