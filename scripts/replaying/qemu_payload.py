"""Files for a plan that is to run: those at hand, and for the others a payload that says, once it runs, that it does.

Reads the workload's files; writes none.
"""

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bootpilot_agent.cpio import regular, write_cpio
from initramfs.build import RamSystem
from scripts.replaying.errors import ReplayError
from scripts.replaying.stand_ins import StandIn


def runnable(stand_ins: Iterable[StandIn], workload: RamSystem, tree: Path | None) -> list[StandIn]:
    """The same files, so that a machine can start them. Raises ReplayError where only the recorded file would do.

    `tree` is the device tree with which QEMU's board starts, for plans that have one of their own.
    """
    return [one if one.real else replace(one, content=_content(one, workload, tree)) for one in stand_ins]


def _content(one: StandIn, workload: RamSystem, tree: Path | None) -> bytes:
    if one.role == "kernel":
        return workload.kernel.read_bytes()
    if one.role == "initrd 1":
        return workload.initrd.read_bytes()
    if one.role.startswith("initrd"):
        return _small_archive(one.role)
    if one.role == "dtb" and tree is not None:
        return tree.read_bytes()
    if one.role == "file":
        return one.content
    raise ReplayError(f"there is no stand-in for {one.role} that a kernel would start with", "--artifacts FOLDER with the file")


def _small_archive(role: str) -> bytes:
    """An initrd with one file that nobody looks at; no two are alike."""
    stream = io.BytesIO()
    write_cpio([regular(f"replayed-{role.replace(' ', '-')}", role.encode())], stream)
    return stream.getvalue()
