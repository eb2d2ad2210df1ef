"""The stages of an installation, as events tell them. No I/O here.

Every one is told to the server as soon as it is over (event `installing`, source `installer`), so that a power cut leaves
behind how far it came.
"""

from enum import StrEnum


class Stage(StrEnum):
    """What is over when the event is sent, in this order. A whole-disk image has no `partitioned` and no `formatted`."""

    GUARD = "guard"  # one disk fits; nothing was written
    UNMARKED = "unmarked"  # every mark on it is destroyed, and flushed
    PARTITIONED = "partitioned"
    FORMATTED = "formatted"
    WRITING = "writing"  # with bytes and total_bytes, at intervals
    WRITTEN = "written"  # size and digest were as ordered
    CONFIGURED = "configured"
    FLUSHED = "flushed"  # unmounted and on the disk
    MARKED = "marked"  # the new mark is on the disk: the last write
