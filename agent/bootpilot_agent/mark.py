"""The mark of a finished installation: what it says, and its form on a disk. No I/O here.

A mark is a partition of its own, 1 MiB, known by its GPT type. The first write of an installation destroys it, the last one
writes the new one: a disk with a valid mark holds a whole system, and the mark says whose and by which install. On disks that
another installer laid out it is the file `MARK_FILE` in the root file system, as plain JSON.
"""

import json
import struct
import zlib
from dataclasses import dataclass

from bootpilot_agent.evidence import Evidence, Grade
from bootpilot_agent.fields import UUID_PATTERN, FieldError, Fields, Json, check_text

# The GPT type of a mark's partition (a version 4 UUID of this project's own), lower case as in PARTTYPE.
MARK_PARTITION_TYPE = "6c2b2f0e-3f2a-4c57-9f4e-b0076b1107ed"
MARK_PARTITION_BYTES = 1 << 20
MARK_FILE = "etc/bootpilot/installed.json"
MARK_VERSION = 1
MAX_MARK_JSON_BYTES = 4096
MAX_AUTONOMOUS_S = 30 * 86400

# What a partition of this type begins with: magic, length of the JSON, its CRC-32 (zlib's), little-endian; then the JSON.
MAGIC = b"bootpilot mark\n\0"
HEADER = struct.Struct("<16sII")
PARTUUID_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{8}-[0-9a-f]{2}"


@dataclass(frozen=True)
class Mark:
    """Which node's system this is, by which install. `evidence_kind` and `evidence_value` are the strongest that the installing
    board showed. `root_partuuid` is the root partition. After `autonomous_after_s` without a usable plan the board boots it by
    itself; None: never.
    """

    node_id: str
    install_id: str
    evidence_kind: str
    evidence_value: str
    root_partuuid: str
    autonomous_after_s: int | None

    def names(self, evidence: tuple[Evidence, ...]) -> bool:
        """Whether the board that shows this evidence is the one that installed."""
        return any(
            piece.grade > Grade.NONE and (piece.kind.value, piece.value) == (self.evidence_kind, self.evidence_value)
            for piece in evidence
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "version": MARK_VERSION,
            "node_id": self.node_id,
            "install_id": self.install_id,
            "evidence": {"kind": self.evidence_kind, "value": self.evidence_value},
            "root_partuuid": self.root_partuuid,
            "autonomous_after_s": self.autonomous_after_s,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "Mark":
        """Raises FieldError, also for a version that this program does not know."""
        fields.version(MARK_VERSION)
        evidence = fields.child("evidence")
        value = evidence.text("value", most=256)
        check_text(evidence.name_of("value"), value, pattern=r"[^\x00-\x1f\x7f]+", expected="text without control characters")
        return cls(
            node_id=fields.text("node_id", pattern=UUID_PATTERN, expected="a UUID"),
            install_id=fields.text("install_id", pattern=UUID_PATTERN, expected="a UUID"),
            # As text: a newer agent may know kinds that this program does not.
            evidence_kind=evidence.text("kind", most=64, pattern=r"[a-z0-9-]+", expected="a kind of evidence"),
            evidence_value=value,
            root_partuuid=fields.text("root_partuuid", pattern=PARTUUID_PATTERN, expected="a PARTUUID in lower case"),
            autonomous_after_s=fields.number_or_none("autonomous_after_s", most=MAX_AUTONOMOUS_S),
        )

    def to_bytes(self) -> bytes:
        """The beginning of the mark's partition; what follows it does not count."""
        body = json.dumps(self.to_json()).encode()
        return HEADER.pack(MAGIC, len(body), zlib.crc32(body)) + body

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Mark | None":
        """A mark's partition, or its first 8 KiB, as read. None where there is no mark: never written, or destroyed. Raises
        FieldError for a damaged one, and for one of a newer version.
        """
        if not raw.startswith(MAGIC):
            return None
        if len(raw) < HEADER.size:
            raise FieldError("mark", f"a header of {HEADER.size} bytes", len(raw))
        _, length, crc = HEADER.unpack_from(raw)
        body = raw[HEADER.size : HEADER.size + length]
        if length > MAX_MARK_JSON_BYTES or len(body) != length or zlib.crc32(body) != crc:
            raise FieldError("mark", f"{length} bytes with the CRC-32 {crc:08x}", f"{len(body)} with {zlib.crc32(body):08x}")
        return cls.from_fields(Fields.from_bytes(body, MAX_MARK_JSON_BYTES))

    @classmethod
    def from_file(cls, raw: bytes) -> "Mark":
        """`MARK_FILE` as read. Raises FieldError."""
        return cls.from_fields(Fields.from_bytes(raw, MAX_MARK_JSON_BYTES))
