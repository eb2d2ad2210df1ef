"""What a board can show about who it is, and how much each piece is worth. No I/O here.

Grades follow how often each source fails in the field: serial numbers in silicon or firmware do not move, MACs are cloned,
a card moves between boards, and placeholders ("To be filled by O.E.M.") name nobody.
"""

import re
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from bootpilot_agent.fields import FieldError, Fields, Json, check_text

MAX_VALUE = 256


class Grade(IntEnum):
    """How much one piece of evidence counts; higher wins. NONE never joins two nodes."""

    NONE = 0
    WEAK = 1
    MEDIUM = 2
    STRONG = 3


class EvidenceKind(StrEnum):
    """Where evidence comes from, best first: the first present kind is the board's best serial (DHCP client-id, stable MAC)."""

    DT_SERIAL = "dt-serial"
    DMI_UUID = "dmi-uuid"
    DMI_PRODUCT_SERIAL = "dmi-product-serial"
    DMI_BOARD_SERIAL = "dmi-board-serial"
    SOC_SERIAL = "soc-serial"
    CPUINFO_SERIAL = "cpuinfo-serial"
    EEPROM_SERIAL = "eeprom-serial"
    MAC = "mac"
    DISK_SERIAL = "disk-serial"
    CARD_CID = "card-cid"
    RANDOM_MAC = "random-mac"


GRADES: dict[EvidenceKind, Grade] = {
    EvidenceKind.DT_SERIAL: Grade.STRONG,
    EvidenceKind.DMI_UUID: Grade.STRONG,
    EvidenceKind.DMI_PRODUCT_SERIAL: Grade.STRONG,
    EvidenceKind.DMI_BOARD_SERIAL: Grade.STRONG,
    EvidenceKind.SOC_SERIAL: Grade.STRONG,
    EvidenceKind.CPUINFO_SERIAL: Grade.STRONG,
    EvidenceKind.EEPROM_SERIAL: Grade.STRONG,
    EvidenceKind.MAC: Grade.MEDIUM,
    EvidenceKind.DISK_SERIAL: Grade.MEDIUM,
    EvidenceKind.CARD_CID: Grade.WEAK,
    # addr_assign_type 1: another one at the next boot (QEMU's cubieboard; any NIC without an EEPROM).
    EvidenceKind.RANDOM_MAC: Grade.NONE,
}

# Values that firmware vendors and emulators leave in the field; compared in lower case with blanks squeezed.
PLACEHOLDERS = frozenset(
    {
        "", "to be filled by o.e.m.", "to be filled by oem", "default string", "not specified", "not applicable",
        "not available", "none", "n/a", "na", "null", "unknown", "system serial number", "system product name",
        "chassis serial number", "base board serial number", "serial number", "empty", "oem", "o.e.m.", "invalid",
        "undefined", "123456789", "1234567890", "0123456789", "01234567890123456789", "xxxxxxxxxx", "not settable",
        "no asset tag",
        # A well-known UUID of boards whose vendor never wrote one (AMI's template).
        "03000200-0400-0500-0006-000700080009",
        # QEMU's emulated SD card gives every card this CID (hw/sd/sd.c, sd_set_cid).
        "aa585951454d552101deadbeef006219",
    }
)  # fmt: skip


def is_placeholder(value: str) -> bool:
    """True for what names nobody: known vendor strings, all zeros, all F, or one repeated character."""
    plain = " ".join(value.lower().split())
    # QEMU numbers its IDE disks QM00001, QM00002, ... on every machine (hw/ide/core.c, ide_init_drive).
    if plain in PLACEHOLDERS or re.fullmatch(r"qm\d{5}", plain):
        return True
    characters = set(re.sub(r"[^0-9a-z]", "", plain))
    return len(characters) <= 1


@dataclass(frozen=True)
class Evidence:
    """One piece: its kind, its value as read (stripped), the path it came from, and its grade."""

    kind: EvidenceKind
    value: str
    source: str
    grade: Grade

    def to_json(self) -> dict[str, Json]:
        return {"kind": self.kind, "value": self.value, "source": self.source, "grade": self.grade.name.lower()}


def grade_evidence(kind: EvidenceKind, value: str, source: str) -> Evidence:
    """Evidence with the grade of its kind, or NONE for a placeholder."""
    grade = Grade.NONE if is_placeholder(value) else GRADES[kind]
    return Evidence(kind, value, source, grade)


def evidence_from_fields(fields: Fields) -> Evidence | None:
    """One entry of a report. A kind this version does not know gives None (a newer agent may send more).

    The grade is made anew here and is never higher than the sender's: an old agent may not know a placeholder, and a
    wrong one cannot promote its evidence. Raises FieldError.
    """
    kind_text = fields.text("kind", most=64)
    value = fields.text("value", most=MAX_VALUE)
    source = fields.text("source", most=MAX_VALUE)
    claimed = fields.text("grade", most=16).upper()
    if claimed not in Grade.__members__:
        raise FieldError(fields.name_of("grade"), "one of " + ", ".join(grade.name.lower() for grade in Grade), claimed.lower())
    if kind_text not in list(EvidenceKind):
        return None
    check_text(fields.name_of("value"), value, pattern=r"[^\x00-\x1f\x7f]*", expected="text without control characters")
    own = grade_evidence(EvidenceKind(kind_text), value, source)
    return replace(own, grade=min(own.grade, Grade[claimed]))


def best_serial(evidence: list[Evidence] | tuple[Evidence, ...]) -> Evidence | None:
    """The piece that names this board best: highest grade, then the order of EvidenceKind, then value. None if none counts."""
    order = list(EvidenceKind)
    counting = [piece for piece in evidence if piece.grade > Grade.NONE]
    return min(counting, key=lambda piece: (-piece.grade, order.index(piece.kind), piece.value), default=None)
