"""What a card was made of, as JSON: on the card as manifest.json, beside the image with the image's own digest. No I/O here."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from scripts.sdcard.board import Board
from scripts.sdcard.errors import CardError
from scripts.sdcard.layout import Layout

MANIFEST_PATH = "manifest.json"
FORMAT = 1
# What a person may change on a card without breaking it.
EDITABLE = ("bootpilot.txt",)


class Digested(Protocol):
    """A file for the card."""

    @property
    def path(self) -> str: ...
    def size_bytes(self) -> int: ...
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Part:
    """A file of the card, or a stretch of it outside the partition (then `offset_bytes` says where)."""

    name: str
    size_bytes: int
    sha256: str
    offset_bytes: int | None = None


@dataclass(frozen=True)
class CardManifest:
    """Everything that decides what is on a card, the manifest itself left out."""

    board: str
    build_id: str
    loader_build_id: str
    kernel_version: str
    card_bytes: int
    partuuid: str
    files: tuple[Part, ...]
    regions: tuple[Part, ...]
    format: int = FORMAT

    @classmethod
    def of(
        cls,
        board: Board,
        build_id: str,
        loader_build_id: str,
        kernel_version: str,
        layout: Layout,
        files: Sequence[Digested],
        pieces: Mapping[str, bytes],
    ) -> "CardManifest":
        """The manifest of a card that is about to be written."""
        regions = tuple(
            Part(piece.name, len(content), hashlib.sha256(content).hexdigest(), piece.offset_bytes)
            for piece in board.firmware
            if piece.offset_bytes is not None and (content := pieces[piece.name])
        )
        parts = tuple(Part(file.path, file.size_bytes(), file.sha256()) for file in files)
        return cls(board.name, build_id, loader_build_id, kernel_version, layout.card_bytes, layout.partuuid, parts, regions)

    def to_json(self) -> bytes:
        """Text with the same bytes for the same content."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, raw: bytes) -> "CardManifest":
        """Raises CardError if it is no manifest that this version reads."""
        try:
            fields = json.loads(raw)
            if fields["format"] != FORMAT:
                raise CardError(f"{MANIFEST_PATH} has format {fields['format']}", "made by a newer build-sdcard: use that one")
            for name in ("files", "regions"):
                fields[name] = tuple(Part(**part) for part in fields[name])
            return cls(**fields)
        except (ValueError, TypeError, KeyError) as error:
            raise CardError(f"{MANIFEST_PATH} cannot be read: {error}", "was this card made by build-sdcard?") from error
