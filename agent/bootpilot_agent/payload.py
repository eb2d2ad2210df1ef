"""Lays the payload out in memory: kernel, device tree, and one initrd file that ends with what the payload is told.

Owns one folder in the RAM file system. The initrds are joined as the kernel wants them, each padded to 4 bytes
(Documentation/driver-api/early-userspace/buffer-format.rst); the last archive holds /bootpilot/boot.json and the plan's files.
"""

import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from bootpilot_agent.boot_note import BOOT_JSON, BootNote
from bootpilot_agent.cpio import Entry, directory, regular, write_cpio
from bootpilot_agent.earlier_note import CARD_COPY
from bootpilot_agent.plan import Artifact, BootPayload, PayloadFile

# The kernel gives a folder that is there already the archive's mode (init/initramfs.c, do_name), so the usual ones are kept.
FOLDER_MODES = {"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777}
FOLDER_MODE = 0o755


@dataclass(frozen=True)
class Payload:
    """What kexec loads. All files are verified."""

    kernel: Path
    initrd: Path
    dtb: Path | None
    command_line: str
    overlays: tuple[Path, ...] = ()


class Fetch(Protocol):
    """Appends an artifact to a file, verified."""

    def __call__(self, artifact: Artifact, file: BinaryIO, what: str) -> None: ...


def clear_folder(folder: Path) -> None:
    """Free the memory that an earlier try took."""
    shutil.rmtree(folder, ignore_errors=True)


def assemble(
    boot: BootPayload, note: BootNote, folder: Path, fetch: Fetch, card_copy: Mapping[str, bytes] | None = None
) -> Payload:
    """Fetch everything into `folder` (made anew). `card_copy`: the card's settings, for a loader.

    Raises what `fetch` raises.
    """
    clear_folder(folder)
    folder.mkdir(parents=True)
    kernel = _fetch_file(boot.kernel, folder / "kernel", "kernel", fetch)
    initrd = folder / "initrd"
    with initrd.open("wb") as file:
        for number, artifact in enumerate(boot.initrds, start=1):
            fetch(artifact, file, f"initrd {number} of {len(boot.initrds)}" if len(boot.initrds) > 1 else "initrd")
            file.write(b"\0" * (-file.tell() % 4))
        fetched = [(row, _fetch_small(row, folder / f"file-{number}", fetch)) for number, row in enumerate(boot.files)]
        write_cpio(note_entries(note, fetched, card_copy or {}), file)
    for _, path in fetched:
        path.unlink()
    dtb = _fetch_file(boot.dtb, folder / "dtb", "device tree", fetch) if boot.dtb else None
    overlays = tuple(
        _fetch_file(artifact, folder / f"overlay-{number}", f"device tree overlay {number}", fetch)
        for number, artifact in enumerate(boot.dtb_overlays, start=1)
    )
    return Payload(kernel, initrd, dtb, boot.command_line, overlays)


def note_entries(
    note: BootNote, files: Sequence[tuple[PayloadFile, Path]], card_copy: Mapping[str, bytes] | None = None
) -> list[Entry]:
    """The last archive's content: boot.json, the card's settings for a loader, the plan's files, and all their folders."""
    entries = {BOOT_JSON: regular(BOOT_JSON, note.to_bytes(), 0o600)}
    folders = {"bootpilot": directory("bootpilot", 0o700)}
    for name, content in (card_copy or {}).items():
        folders[CARD_COPY] = directory(CARD_COPY, 0o700)
        entries[f"{CARD_COPY}/{name}"] = regular(f"{CARD_COPY}/{name}", content, 0o600)
    for row, path in files:
        name = row.path.lstrip("/")
        for parent in reversed(PurePosixPath(name).parents[:-1]):
            folders.setdefault(str(parent), directory(str(parent), FOLDER_MODES.get(str(parent), FOLDER_MODE)))
        entries[name] = regular(name, path, stat.S_IMODE(row.mode))
    # The kernel makes no folders by itself, and the last entry of a name counts (init/initramfs.c).
    return [*folders.values(), *entries.values()]


def _fetch_file(artifact: Artifact, path: Path, what: str, fetch: Fetch) -> Path:
    with path.open("wb") as file:
        fetch(artifact, file, what)
    return path


def _fetch_small(row: PayloadFile, path: Path, fetch: Fetch) -> Path:
    return _fetch_file(row.artifact, path, row.path, fetch)
