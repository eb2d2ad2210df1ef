"""Loads kernel modules for the devices that are there, and for those that appear later. Owns the uevent socket and modprobe.

There is no udevd: devices are enumerated from /sys, and new ones are heard of on the kernel's own netlink group. One modprobe
takes many aliases, because starting a program costs more than loading a module. /init loads what it finds while Python starts,
and leaves a list of the aliases that it tried, and what modprobe complained about.
"""

import fnmatch
import select
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyudev

from bootpilot_agent.console import say
from bootpilot_agent.errors import CommandError
from bootpilot_agent.run import run
from bootpilot_agent.taps import tap

TRIED_BY_INIT = Path("/run/bootpilot/tried-aliases")
TROUBLE_OF_INIT = Path("/run/bootpilot/modprobe-trouble")
MODPROBE_TIMEOUT_S = 120.0  # a USB hub or a SATA port can keep a module's init waiting
ALIASES_PER_CALL = 500
MOST_TROUBLE = 30  # a kernel with modules of another build complains of each of hundreds
# A module that finds none of its hardware says ENODEV: features of other processors (cpu:* aliases), nothing to worry about.
NO_TROUBLE = "No such device"

# What booting does not need and what costs time or trouble when a driver takes it; compared with the modalias.
DENIED = (
    ("pci:*bc03*", "display: its driver would take the console away, and may not survive kexec"),
    ("pci:*bc04*", "sound and video"),
    ("usb:*ic01isc*", "sound"),
    ("usb:*ic0Eisc*", "camera"),
    ("usb:*icE0isc*", "Bluetooth"),
    ("of:N*sound*", "sound"),
    ("of:Nhdmi*", "display"),
    ("of:Ngpu*", "display"),
    ("hdaudio:*", "sound"),
    ("i2c:*tda998x*", "display"),
)

# Driverless devices of these kinds are named first: (pattern, what it is).
WANTED = (
    ("pci:*bc02*", "network"),
    ("usb:*ic02*", "network"),
    ("usb:*icFF*", "vendor-specific USB, often network"),
    ("of:N*ethernet*", "network"),
    ("virtio:d00000001v*", "network"),
    ("pci:*bc01*", "storage"),
    ("usb:*ic08*", "storage"),
    ("of:N*mmc*", "storage"),
    ("of:N*sata*", "storage"),
    ("virtio:d00000002v*", "storage"),
    ("of:N*usb*", "USB host"),
    ("pci:*bc0Csc03*", "USB host"),
)


@dataclass(frozen=True)
class Driverless:
    """A device that no driver took: its modalias, its sysfs path, what it is ("" unknown), and why none was tried, if so."""

    modalias: str
    path: str
    kind: str = ""
    reason: str = ""


class Coldplug:
    """`start()` once; then `poll()` whenever `fileno()` is readable, or now and then."""

    def __init__(self, tried_by_init: Path = TRIED_BY_INIT, trouble_of_init: Path = TROUBLE_OF_INIT) -> None:
        self._context = pyudev.Context()
        # Heard from before the enumeration, so that no device falls between the two.
        self._monitor = pyudev.Monitor.from_netlink(self._context, source="kernel")
        self._monitor.start()
        self._tried = _read_lines(tried_by_init)
        self._trouble_of_init = trouble_of_init
        self._trouble: dict[str, None] = {}

    def start(self) -> int:
        """Load drivers for everything present; returns the number of modaliases tried, by /init or now."""
        self._load(self._present())
        self._complain(sorted(_read_lines(self._trouble_of_init)))
        return len(self._tried)

    def fileno(self) -> int:
        """Readable when a device came or went."""
        return int(self._monitor.fileno())

    def poll(self, timeout_s: float = 0.0) -> int:
        """Wait up to `timeout_s` for a new device, load drivers for all that came; returns the number of modaliases tried."""
        readable, _, _ = select.select([self._monitor], [], [], timeout_s)
        aliases: list[str] = []
        overrun = False
        while readable:
            try:
                device = self._monitor.poll(timeout=0)
            except OSError:  # ENOBUFS: more events at once than the socket holds
                overrun = True
                continue
            if device is None:
                break
            tap().heard_uevent(dict(device.properties))
            if device.action in ("add", "change", "bind") and "MODALIAS" in device.properties:
                aliases.append(device.properties["MODALIAS"])
        return self._load(self._present() if overrun else aliases)

    def driverless(self) -> list[Driverless]:
        """Devices that no driver took, those that a boot could need first, for the console."""
        found = [
            Driverless(alias, device.sys_path, _match(alias, WANTED), _match(alias, DENIED))
            for device in self._context.list_devices()
            if device.driver is None and (alias := _modalias(device))
        ]
        return sorted(found, key=lambda device: (not device.kind, bool(device.reason), device.path))

    def _present(self) -> list[str]:
        # libudev reads the uevent files and filters in C; devices without MODALIAS never reach Python.
        devices = self._context.list_devices().match_property("MODALIAS", "*")
        return [alias for device in devices if (alias := _modalias(device))]

    def _load(self, aliases: Iterable[str]) -> int:
        fresh = wanted_aliases(aliases, self._tried)
        self._tried.update(fresh)
        for start in range(0, len(fresh), ALIASES_PER_CALL):
            try:
                # -q: an alias without a module is nothing special. -b: modprobe.d may deny modules.
                argv = ["modprobe", "-a", "-b", "-q", "--", *fresh[start : start + ALIASES_PER_CALL]]
                done = run(argv, timeout_s=MODPROBE_TIMEOUT_S, check=False)
                self._complain(done.stderr.splitlines())
            except CommandError as error:
                self._complain([error.message[-500:]])
        return len(fresh)

    def _complain(self, lines: Iterable[str]) -> None:
        """Say each line once, e.g. of a module that does not fit this kernel, and only so many."""
        for line in lines:
            if not line or NO_TROUBLE in line or line in self._trouble or len(self._trouble) > MOST_TROUBLE:
                continue
            self._trouble[line] = None
            say(f"drivers: {line}" if len(self._trouble) <= MOST_TROUBLE else "drivers: more trouble of this kind is not shown")


def wanted_aliases(aliases: Iterable[str], tried: set[str]) -> list[str]:
    """Each alias once, in order, without those tried before and those that booting must not load."""
    return [alias for alias in dict.fromkeys(aliases) if alias not in tried and not _match(alias, DENIED)]


def _read_lines(path: Path) -> set[str]:
    """Empty while /init is still at it: then everything is tried here, which does no harm."""
    try:
        return set(path.read_text(errors="replace").split("\n")) - {""}
    except OSError:
        return set()


def _match(alias: str, rows: Iterable[tuple[str, str]]) -> str:
    return next((meaning for pattern, meaning in rows if fnmatch.fnmatchcase(alias, pattern)), "")


def _modalias(device: pyudev.Device) -> str:
    return str(device.properties.get("MODALIAS", ""))
