"""Boots one loader once and reads off how long each part took, or how little memory it needs. Judges nothing."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from scripts.benchmark.relay import Relay
from scripts.lab.errors import LabError
from scripts.lab.guest import DirectBoot, Guest
from scripts.lab.verdict import USER_SPACE
from scripts.lab.vm import RunningGuest, start_guest

SCRIPT_MARK = re.compile(r"^script: (?P<at>[\d.]+) (?P<what>.*)")
# What ends a boot that will come to nothing: no need to wait for the deadline.
# Not "memory: " alone: "Freeing initrd memory: 7100K" is said when all is well.
HOPELESS = re.compile(r"Kernel panic|initramfs is incomplete|Out of memory:|System is deadlocked on memory|FAILED at ")
BOOT_DEADLINE_S = 240.0
MEMORY_DEADLINE_S = 90.0


@dataclass(frozen=True)
class Boot:
    """Seconds of one boot. `verified_s` is the time that checking took after the last byte, 0 where it is done on the way."""

    init_to_request_s: float
    start_to_second_s: float
    download_s: float
    verified_s: float
    bytes_down: int

    @property
    def checked_bytes_per_s(self) -> float:
        return self.bytes_down / (self.download_s + self.verified_s)


def measure_boot(guest: Guest, relay: Relay) -> Boot:
    """Raises LabError if the second kernel's user space does not come."""
    relay.start_over()
    with start_guest(guest) as running:
        first = running.wait_for_line(USER_SPACE, BOOT_DEADLINE_S)
        index = running.lines.index(first) + 1
        second = running.wait_for_line(USER_SPACE, BOOT_DEADLINE_S, after=index)
        marks = script_marks(running)
        traffic = relay.traffic
        return Boot(
            init_to_request_s=traffic.first_request_s - running.started_s - first.at_s,
            start_to_second_s=second.at_s,
            download_s=traffic.last_byte_s - traffic.first_artifact_s,
            verified_s=marks.get("verified", 0.0) - marks.get("downloaded", 0.0),
            bytes_down=traffic.bytes_down,
        )


def measure_discard(guest: Guest, relay: Relay) -> float:
    """Bytes per second of plain wget into /dev/null. Raises LabError."""
    relay.start_over()
    with start_guest(guest) as running:
        running.wait_for_line("script: .* discarded", BOOT_DEADLINE_S)
        marks = script_marks(running)
        return relay.traffic.bytes_down / (marks["discarded"] - marks["request"])


def script_marks(running: RunningGuest) -> dict[str, float]:
    """What the yardstick script said, and when by its own clock."""
    found = (SCRIPT_MARK.match(line.text) for line in running.lines)
    return {match["what"]: float(match["at"]) for match in found if match}


def reaches_second_user_space(guest: Guest) -> bool:
    """Does the payload's first program start with this much memory?"""
    with start_guest(guest) as running:
        seen = 0
        while running.is_running() and running.elapsed_s() < MEMORY_DEADLINE_S:
            lines = running.lines[seen:]
            seen += len(lines)
            if any(HOPELESS.search(line.text) for line in lines):
                return False
            if sum(1 for line in running.lines if USER_SPACE in line.text) >= 2:
                return not any("Initramfs unpacking failed" in line.text for line in running.lines)
            time.sleep(0.2)
    return False


def smallest_memory_mib(boots: Callable[[int], bool], least: int, most: int, step: int) -> int:
    """Bisects from `least`, which is too little, to `most`; a multiple of `step`. Raises LabError if `most` is not enough."""
    if not boots(most):
        raise LabError(f"does not boot with {most} MiB")
    low, high = least // step, most // step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if boots(middle * step) else (middle, high)
    return high * step


def with_memory(guest: Guest, memory_mib: int) -> Guest:
    return replace(guest, memory_mib=memory_mib)


def with_words(guest: Guest, *words: str) -> Guest:
    """The same guest with more words on the loader's command line."""
    if not isinstance(guest.boot, DirectBoot):
        raise LabError("only a loader that QEMU starts itself has its command line here")
    return replace(guest, boot=replace(guest.boot, command_line=" ".join([guest.boot.command_line, *words])))
