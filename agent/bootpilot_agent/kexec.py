"""Loads the payload with kexec-tools, or where there is none by the agent's own calls (kexec_call.py), and jumps.

Owns the kexec program; nothing here fetches or verifies.

The command line is exactly the plan's: what is not in it, the console included, the next kernel does not get.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent import kexec_call
from bootpilot_agent.devices import Run
from bootpilot_agent.errors import CommandError, KexecError, KexecReturnedError
from bootpilot_agent.inventory import KexecCapability
from bootpilot_agent.kexec_call import WAYS
from bootpilot_agent.kexec_syscalls import SYSTEM, KexecSystem
from bootpilot_agent.payload import Payload
from bootpilot_agent.traits import KEXEC_FLAGS

# Under emulation, 80 MB take half a minute to be copied and checked.
LOAD_S = 600.0
JUMP_S = 60.0

# A locked-down kernel only takes kernels that it can check itself, by kexec_file_load; it does not allow kexec_load then.
FILE_LOAD_FLAGS = ("-s",)


@dataclass(frozen=True)
class Refusal:
    """How kexec's own words translate."""

    pattern: str
    meaning: str
    hint: str


REFUSALS = (
    Refusal(
        "Invalid argument",
        "the kernel cannot park its other CPUs, or takes this image for unusable (EINVAL)",
        "loader entries of boards without PSCI need nr_cpus=1 on their command line",
    ),
    Refusal(
        "Device or resource busy",
        "CPUs are stuck in the running kernel, or another image is being loaded (EBUSY)",
        "loader entries of boards with spin-table CPUs need nr_cpus=1 on their command line",
    ),
    Refusal(
        "Operation not permitted",
        "the running kernel forbids kexec (EPERM)",
        "is it locked down (Secure Boot), or kernel.kexec_load_disabled set?",
    ),
    Refusal("Cannot allocate memory", "out of memory (ENOMEM)", "give this board a smaller kernel or initrd"),
    Refusal(
        "Cannot assign requested address|locate_hole|Could not find a free area",
        "no free stretch of memory where the image must go (EADDRNOTAVAIL)",
        "give this board a smaller initrd",
    ),
    Refusal(
        "Function not implemented", "the running kernel has no kexec (ENOSYS)", "the loader needs a kernel with CONFIG_KEXEC"
    ),
    Refusal(
        "Required key not available|Key was rejected",
        "the image is not signed by a key that this kernel trusts",
        "boot a signed kernel",
    ),
    Refusal(
        "setup_2nd_dtb failed",
        "kexec does not take this device tree",
        "on arm64 it may have no kaslr-seed but 0 in /chosen; a plan's tree that was dumped from QEMU or U-Boot has another",
    ),
)


def load_argv(payload: Payload, arch: str, capability: KexecCapability) -> list[str]:
    """The command that loads the payload with the call that this kernel allows."""
    flags = FILE_LOAD_FLAGS if capability.file_load and not capability.load else KEXEC_FLAGS[arch]
    dtb = [f"--dtb={payload.dtb}"] if payload.dtb else []
    return [
        "kexec",
        "-l",
        *flags,
        f"--initrd={payload.initrd}",
        *dtb,
        f"--command-line={payload.command_line}",
        str(payload.kernel),
    ]


def load(
    payload: Payload,
    arch: str,
    capability: KexecCapability,
    run: Run,
    system: KexecSystem = SYSTEM,
    root: Path = Path("/"),
) -> None:
    """Raises KexecError that says in plain words what the kernel did not like."""
    if WAYS[arch].by_agent:
        kexec_call.load(payload, capability, system, root)
        return
    try:
        done = run(load_argv(payload, arch, capability), timeout_s=LOAD_S, check=False)
    except CommandError as error:
        raise KexecError(f"kexec did not load the payload: {error.message}") from error
    if done.returncode != 0:
        raise explain(done.stderr)


def explain(stderr: str) -> KexecError:
    """kexec's error output -> an error for people; its own last words are kept."""
    own_words = stderr.strip().splitlines()[-1] if stderr.strip() else "no error text"
    for row in REFUSALS:
        if re.search(row.pattern, stderr):
            return KexecError(f"{row.meaning}: {own_words}", row.hint)
    return KexecError(f"kexec did not load the payload: {own_words}")


def unload(arch: str, run: Run, root: Path = Path("/"), system: KexecSystem = SYSTEM) -> None:
    """Free what an earlier try loaded; it holds as much memory as the payload has bytes."""
    loaded = root / "sys/kernel/kexec_loaded"
    if not loaded.exists() or loaded.read_text().strip() != "1":
        return
    if WAYS[arch].by_agent:
        kexec_call.unload(system)
    else:
        run(["kexec", "-u"], timeout_s=JUMP_S, check=False)


def jump(arch: str, run: Run, sync: Callable[[], None], system: KexecSystem = SYSTEM) -> None:
    """Into the next kernel. Always raises: who comes back here has failed."""
    sync()
    if WAYS[arch].by_agent:
        kexec_call.jump(system)
    try:
        done = run(["kexec", "-e"], timeout_s=JUMP_S, check=False)
    except CommandError as error:
        raise KexecReturnedError(f"kexec -e did not jump: {error.message}") from error
    raise KexecReturnedError(
        f"kexec -e came back: {done.stderr.strip() or 'no error text'}", "the board reboots into the loader"
    )
