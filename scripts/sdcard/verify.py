"""Compares a card, or its image, with the board's row and with the manifest that it carries. Only reads."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bootpilot_agent.card_settings import read_card
from bootpilot_agent.errors import CommandError
from bootpilot_agent.run import run
from bootpilot_agent.settings import merge
from scripts.sdcard.board import SECTOR_BYTES, Board, Menu, Table
from scripts.sdcard.boards import BOARDS
from scripts.sdcard.errors import CardError
from scripts.sdcard.fat import list_fat_root, read_fat_file
from scripts.sdcard.layout import ESP_TYPE, FAT32_TYPE, Layout, Region
from scripts.sdcard.manifest import EDITABLE, MANIFEST_PATH, CardManifest, Part
from scripts.sdcard.menus import MENU_ENDINGS
from scripts.sdcard.rom_rules import RULES
from scripts.sdcard.texts import DEMAND, SETTINGS_PATH, demand_of

TIMEOUT_S = 60.0
# U-Boot runs or reads these before it looks for a menu (envboot, distro_bootcmd); they change what a card does.
TAKEN_BEFORE_MENU = ("boot.scr", "uEnv.txt", "uboot.env")


@dataclass
class Findings:
    """`problems` make a card wrong; `notes` are worth knowing."""

    manifest: CardManifest
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_card(path: Path) -> Findings:
    """Everything that can be wrong with the card or image at `path`.

    Raises:
        CardError: it is no card of ours, or cannot be read.
    """
    if not path.exists():
        raise CardError(f"{path}: there is no such file or device", "lsblk shows the disks of this machine")
    layout, entry = _read_table(path)
    try:
        manifest = CardManifest.from_json(read_fat_file(path, layout, MANIFEST_PATH))
    except CommandError as error:
        raise CardError(f"{path}: there is no {MANIFEST_PATH} on it", "was this card made by build-sdcard?") from error
    findings = Findings(manifest)
    board = BOARDS.get(manifest.board)
    if board is None:
        findings.problems.append(f"the table has no board {manifest.board!r}")
    else:
        _check_table(board, layout, entry, findings)
        _check_firmware(board, path, findings)
        _check_root(board, path, layout, findings)
    for part in manifest.regions:
        _check_region(path, part, findings)
    for part in manifest.files:
        _check_file(path, layout, part, findings)
    _check_settings(path, layout, findings)
    return findings


def _read_table(path: Path) -> tuple[Layout, dict[str, object]]:
    """The partition table as sfdisk reads it; the first partition is the card's only one."""
    try:
        table = json.loads(run(["sfdisk", "--json", str(path)], timeout_s=TIMEOUT_S).stdout)["partitiontable"]
        entry = table["partitions"][0]
        kind = Table(table["label"])
        start, size = entry["start"] * SECTOR_BYTES, entry["size"] * SECTOR_BYTES
    except (CommandError, ValueError, LookupError) as error:
        raise CardError(
            f"{path} has no partition table with a partition: {error}", "is it a card, or an image of one?"
        ) from error
    disk_id = int(table["id"], 16) if kind is Table.MBR else 0
    return Layout(start + size, Region("FAT partition", start, size), disk_id, kind), entry


def _check_table(board: Board, layout: Layout, entry: dict[str, object], findings: Findings) -> None:
    problems = findings.problems
    if layout.table is not board.table:
        problems.append(f"the partition table is {layout.table.value}, {board.name} needs {board.table.value}")
        return
    if layout.partition.start != board.partition_start_bytes:
        problems.append(f"the partition starts at byte {layout.partition.start}, expected {board.partition_start_bytes}")
    kind = str(entry.get("type", ""))
    if kind != (FAT32_TYPE if board.table is Table.MBR else ESP_TYPE):
        problems.append(f"the partition has type {kind}")
    if board.table is Table.MBR and not entry.get("bootable"):
        problems.append("the partition is not marked as active, and boot ROMs look for an active one")
    found = layout.partuuid if board.table is Table.MBR else str(entry.get("uuid", "")).lower()
    if found != findings.manifest.partuuid:
        problems.append(f"PARTUUID is {found}, the loader looks for its card as {findings.manifest.partuuid}")


def _check_firmware(board: Board, path: Path, findings: Findings) -> None:
    for piece in board.firmware:
        part = next((part for part in findings.manifest.regions if part.name == piece.name), None)
        if piece.offset_bytes is None or not piece.rule:
            continue
        if part is None:
            findings.problems.append(f"the card was made without {piece.name} at byte {piece.offset_bytes}")
        elif problem := RULES[piece.rule](_read(path, piece.offset_bytes, part.size_bytes)):
            findings.problems.append(f"the board would not start {piece.name} at byte {piece.offset_bytes}: {problem}")


def _check_root(board: Board, path: Path, layout: Layout, findings: Findings) -> None:
    known = {part.name for part in findings.manifest.files}
    names = list_fat_root(path, layout)
    if board.menu is Menu.EXTLINUX:
        findings.problems += [
            f"{name} lies on the card, and U-Boot takes it before the menu"
            for name in names
            if name.lower() in [taken.lower() for taken in TAKEN_BEFORE_MENU] and name not in known
        ]


def _check_region(path: Path, part: Part, findings: Findings) -> None:
    if hashlib.sha256(_read(path, part.offset_bytes or 0, part.size_bytes)).hexdigest() != part.sha256:
        findings.problems.append(f"{part.name} at byte {part.offset_bytes} is not what was written")


def _check_file(path: Path, layout: Layout, part: Part, findings: Findings) -> None:
    try:
        content = read_fat_file(path, layout, part.name)
    except CommandError:
        findings.problems.append(f"{part.name} is missing")
        return
    if hashlib.sha256(content).hexdigest() == part.sha256:
        return
    if part.name in EDITABLE:
        findings.notes.append(f"{part.name} was edited since the card was made")
    else:
        findings.problems.append(f"{part.name} is not what was written ({len(content)} bytes, {part.size_bytes} written)")


def _check_settings(path: Path, layout: Layout, findings: Findings) -> None:
    """The settings as the agent will read them."""
    try:
        text = read_fat_file(path, layout, SETTINGS_PATH)
    except CommandError:
        return
    settings, problems = merge(read_card(b""), read_card(text))
    findings.problems += [str(problem) for problem in problems]
    findings.notes.append(f"boot server: {', '.join(settings.servers) or 'named by DHCP'}")
    demand = demand_of(settings)
    if demand and not _menu_demands_https(path, layout, findings):
        findings.notes.append(
            "bootpilot.txt asks for https and the loader's command line does not: a board that cannot read the file any more"
            f" would ask DHCP for a server. Make the card again with these --settings, or add {demand} to its menu"
        )


def _menu_demands_https(path: Path, layout: Layout, findings: Findings) -> bool:
    menus = [part.name for part in findings.manifest.files if part.name.endswith(MENU_ENDINGS)]
    with suppress(CommandError):  # a missing one is among the problems
        return any(DEMAND.encode() in read_fat_file(path, layout, name) for name in menus)
    return False


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)
