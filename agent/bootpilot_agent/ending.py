"""Reboot and power off: asks the program, then the kernel itself. Comes back only where neither is obeyed."""

import os
from dataclasses import dataclass
from typing import NoReturn

from bootpilot_agent.attention import Worker
from bootpilot_agent.devices import Devices
from bootpilot_agent.errors import CommandError

SYNC_S = 20.0
END_S = 60.0


@dataclass(frozen=True)
class Ending:
    """How the board leaves the agent without a payload. `key` is the kernel's own way, which asks no driver to let go.

    reboot(2) shuts every device down under one mutex, and a driver that hangs there holds it for ever; the SysRq keys take
    neither (kernel/reboot.c; Documentation/admin-guide/sysrq.rst). What is written to the trigger counts whatever mask is set.
    """

    argv: tuple[str, ...]
    key: str


REBOOT = Ending(("reboot", "-f"), "b")
POWER_OFF = Ending(("poweroff", "-f"), "o")


def leave(ending: Ending, devices: Devices) -> NoReturn:
    """Network down, disks flushed, off or over. Raises CommandError when the machine goes on all the same."""
    devices.console.say(f"{ending.argv[0]} now")
    devices.network.down()
    try:
        devices.sync()
    except OSError as error:
        devices.console.say(f"sync: {error}")
    failure = _run(ending, devices)
    devices.console.say(f"{failure}; the kernel's own way now (SysRq {ending.key})")
    try:
        (devices.root / "proc/sysrq-trigger").write_text(ending.key)
    except OSError as error:
        raise CommandError(f"{failure}; SysRq {ending.key}: {error}") from error
    raise CommandError(f"{failure}; SysRq {ending.key} changed nothing")


def _run(ending: Ending, devices: Devices) -> str:
    try:
        done = devices.run(ending.argv, timeout_s=END_S, check=False)
    except CommandError as error:
        return error.message
    return f"{' '.join(ending.argv)} came back (exit code {done.returncode}): {done.stderr.strip() or 'no error text'}"


def flush_disks() -> None:
    """sync(2), given up after a while: a dying disk may keep it for ever, and the board needs none of its disks to go on."""
    syncing = Worker(os.sync)
    syncing.start()
    syncing.join(SYNC_S)
