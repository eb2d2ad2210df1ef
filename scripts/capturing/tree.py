"""Writes a captured board's tree: `root` as the agent reads it, README, and expected.json with what the agent reports of it."""

import json
from pathlib import Path

from bootpilot_agent.card import Card
from bootpilot_agent.hardware import read_inventory
from bootpilot_agent.identity import read_evidence
from scripts.capturing.archive import Captured
from scripts.capturing.errors import CaptureError
from scripts.capturing.gpt import with_checksums

FOLDER_MODE, FILE_MODE = 0o755, 0o644


def write_tree(captured: Captured, folder: Path, card_partuuid: str = "") -> None:
    """As in tests/data/boards. `card_partuuid` is that of the card that the loader would start from. Raises CaptureError."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise CaptureError(f"{folder} is there already", "name a folder that is not") from error
    write_root(captured, folder / "root")
    (folder / "README").write_text(readme(captured, folder / "root"))
    (folder / "expected.json").write_text(json.dumps(expected(folder / "root", card_partuuid), indent=1) + "\n")


def write_root(captured: Captured, root: Path) -> None:
    """Links last, so that nothing is written through one. Raises CaptureError where two things have one path."""
    try:
        for path in captured.folders:
            (root / path).mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for path, content in captured.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(with_checksums(content) if path.startswith("dev/") else content)
            (root / path).chmod(FILE_MODE)
        for path, target in captured.links.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(target)
    except OSError as error:
        raise CaptureError(f"the tree cannot be written: {error}", "look at the archive before you use it") from error


def readme(captured: Captured, root: Path) -> str:
    """What a reader of the tree must know: where it comes from, and what is not in it."""
    board = read_inventory(root).board
    return (
        f"Captured on a real machine by scripts/capture-board: {board.model or 'of unknown model'}.\n"
        f"What the board said of it: {'; '.join(captured.notes.strip().splitlines())}.\n"
        "Serial numbers and MACs are the board's own. Passwords, keys, names and wireless addresses were left out there.\n"
    )


def expected(root: Path, card_partuuid: str) -> dict[str, object]:
    """What the agent reports of this tree, for tests to hold it to."""
    card = Card(card_partuuid, "", "", "", b"") if card_partuuid else None
    inventory = read_inventory(root, card)
    return {
        "card_partuuid": card_partuuid,
        "boot_media": [disk.name for disk in inventory.disks if disk.boot_medium],
        "evidence": [piece.to_json() for piece in read_evidence(root)],
        "inventory": inventory.to_json(),
    }
