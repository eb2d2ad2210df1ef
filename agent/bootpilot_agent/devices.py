"""The outermost things that a boot acts on, as types. A test gives others and runs all the rest of the agent as it is."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bootpilot_agent.addresses import GivenMac
from bootpilot_agent.card import Card
from bootpilot_agent.console import Console
from bootpilot_agent.deadline import Clock
from bootpilot_agent.drivers import Driverless
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.network import Candidate
from bootpilot_agent.run import Completed
from bootpilot_agent.settings import Settings
from bootpilot_agent.wall_clock import WallClock


class NetworkDevice(Protocol):
    """network.Network, as far as it is used."""

    def start(self, settings: Settings, evidence: Sequence[Evidence]) -> None: ...
    def poll(self, timeout_s: float) -> bool: ...
    def candidates(self) -> tuple[Candidate, ...]: ...
    def use(self, candidate: Candidate) -> None: ...
    def describe(self) -> list[str]: ...
    def given_macs(self) -> tuple[GivenMac, ...]: ...
    def down(self) -> None: ...


class DriverDevice(Protocol):
    """drivers.Coldplug, as far as it is used."""

    def start(self) -> int: ...
    def poll(self, timeout_s: float = 0.0) -> int: ...
    def driverless(self) -> list[Driverless]: ...


class WatchdogDevice(Protocol):
    """watchdog.Watchdog."""

    def beat(self) -> None: ...
    def stop(self) -> None: ...
    def keep(self) -> None: ...
    def starve(self) -> None: ...
    def describe(self) -> str: ...


class OpenWatchdog(Protocol):
    """watchdog.Watchdog.open."""

    def __call__(self, timeout_s: int, *, keep_allowed: bool = False) -> WatchdogDevice: ...


class FindCard(Protocol):
    """card.find_card."""

    def __call__(self, partuuid: str, *, wait_s: float, poll: Callable[[float], object]) -> Card | None: ...


class Run(Protocol):
    """run.run, as far as it is used."""

    def __call__(self, argv: Sequence[str], *, timeout_s: float, check: bool = True) -> Completed: ...


@dataclass(frozen=True)
class Devices:
    """`root` is where /proc, /sys and /etc are read; `folder` is the payload's place in memory; `run` starts programs.

    `clock` times the waits between two questions or two tries; `wall_clock` has the date.
    """

    root: Path
    folder: Path
    console: Console
    drivers: DriverDevice
    network: NetworkDevice
    find_card: FindCard
    open_watchdog: OpenWatchdog
    run: Run
    sync: Callable[[], None]
    chance: Callable[[], float] = random.random
    clock: Clock = time.monotonic
    wall_clock: WallClock = field(default_factory=WallClock)
