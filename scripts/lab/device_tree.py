"""Gives each simulated ARM board its own device tree with its own serial number. Starts QEMU (to dump the tree) and fdtput.

U-Boot passes the tree that QEMU gives it on to the kernel, serial number included, as a real board's firmware does.
"""

import secrets
from pathlib import Path

from bootpilot_agent.run import run
from scripts.lab.guest import Identity
from scripts.lab.machine import Machine
from scripts.lab.qemu_argv import dumpdtb_argv

TIMEOUT_S = 60.0


def write_device_tree(machine: Machine, identity: Identity, path: Path, *, memory_mib: int = 0) -> None:
    """Write the tree of `machine` with the identity's serial number to `path`. Raises CommandError."""
    run(dumpdtb_argv(machine, path, memory_mib=memory_mib), timeout_s=TIMEOUT_S)
    for argv in fdtput_argvs(path, identity.serial, _fresh_cells(8), _fresh_cells(2)):
        run(argv, timeout_s=TIMEOUT_S)


def name_board(path: Path, identity: Identity) -> None:
    """Put the serial number into a tree, as a board's firmware does. Raises CommandError."""
    run(["fdtput", "-t", "s", str(path), "/", "serial-number", identity.serial], timeout_s=TIMEOUT_S)


def fdtput_argvs(path: Path, serial: str, rng_seed: list[str], kaslr_seed: list[str]) -> list[list[str]]:
    """The commands that put in what QEMU leaves out, or what would be the same at each start of a tree kept in a file."""
    return [
        ["fdtput", "-t", "s", str(path), "/", "serial-number", serial],
        ["fdtput", "-t", "x", str(path), "/chosen", "rng-seed", *rng_seed],
        ["fdtput", "-t", "x", str(path), "/chosen", "kaslr-seed", *kaslr_seed],
    ]


def _fresh_cells(count: int) -> list[str]:
    return [secrets.token_hex(4) for _ in range(count)]
