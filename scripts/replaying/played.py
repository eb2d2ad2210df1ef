"""A request of the replayed boot, and the answer that it gets. No I/O here."""

import re
from dataclasses import dataclass

from scripts.replaying.breaks import Break
from scripts.replaying.tape import Kind, kind_of

RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Asked:
    """A request of the replayed boot. Header names are in lower case; `interface` is "" where the harness cannot tell it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    interface: str = ""

    @property
    def kind(self) -> Kind:
        return kind_of(self.method, self.url)

    @property
    def range_start(self) -> int:
        found = RANGE.fullmatch(self.headers.get("range", ""))
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Played:
    """The answer. `breaks`: how it ends before its end, in `error`'s words; `status` is None where there is none at all.

    `marks` and `ms` say when each byte came, in milliseconds since the request.
    """

    status: int | None
    headers: dict[str, str]
    body: bytes
    breaks: Break | None = None
    error: str = ""
    marks: tuple[tuple[int, int], ...] = ()
    ms: int = 0
