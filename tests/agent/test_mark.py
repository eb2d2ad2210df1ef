"""A mark's form on the disk and in a report: whole, destroyed, damaged, of another board, of a newer program."""

import json
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.evidence import EvidenceKind, grade_evidence
from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.inventory import Disk, Transport
from bootpilot_agent.mark import HEADER, MAGIC, MARK_FILE, MARK_PARTITION_BYTES, MARK_PARTITION_TYPE, Mark

NODE, INSTALL = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
MARK = Mark(NODE, INSTALL, "dt-serial", "10000000abcdef01", "4d0b5f4c-01", 600)


def test_a_mark_survives_the_way_to_the_disk_and_back() -> None:
    partition = MARK.to_bytes().ljust(MARK_PARTITION_BYTES, b"\xff")
    assert Mark.from_bytes(partition) == MARK
    assert Mark.from_bytes(replace(MARK, autonomous_after_s=None).to_bytes()) == replace(MARK, autonomous_after_s=None)


def test_its_form_on_the_disk_is_the_documented_one() -> None:
    raw = MARK.to_bytes()
    length, crc = struct.unpack_from("<II", raw, 16)
    assert raw[:16] == b"bootpilot mark\n\0"
    assert (len(raw) - 24, zlib.crc32(raw[24:])) == (length, crc)
    assert json.loads(raw[24:]) == {
        "version": 1,
        "node_id": NODE,
        "install_id": INSTALL,
        "evidence": {"kind": "dt-serial", "value": "10000000abcdef01"},
        "root_partuuid": "4d0b5f4c-01",
        "autonomous_after_s": 600,
    }


def test_the_places_in_which_marks_are_looked_for_stay_the_same_for_ever() -> None:
    """Disks that were installed years ago are read by tomorrow's agents, and today's cards read tomorrow's disks."""
    assert MARK_PARTITION_TYPE == "6c2b2f0e-3f2a-4c57-9f4e-b0076b1107ed"
    assert (MARK_PARTITION_BYTES, MARK_FILE) == (1_048_576, "etc/bootpilot/installed.json")


@pytest.mark.parametrize("raw", [b"", bytes(MARK_PARTITION_BYTES), b"\xff" * 4096, MAGIC[:15]])
def test_a_destroyed_or_empty_partition_holds_no_mark(raw: bytes) -> None:
    assert Mark.from_bytes(raw) is None


@given(
    place=st.integers(min_value=len(MAGIC), max_value=len(MARK.to_bytes()) - 1), flip=st.integers(min_value=1, max_value=255)
)
def test_one_wrong_byte_anywhere_is_noticed(place: int, flip: int) -> None:
    raw = bytearray(MARK.to_bytes())
    raw[place] ^= flip
    with pytest.raises(FieldError):
        Mark.from_bytes(bytes(raw))


@given(length=st.integers(min_value=len(MAGIC), max_value=len(MARK.to_bytes()) - 1))
def test_a_mark_that_was_cut_off_while_being_written_is_none(length: int) -> None:
    with pytest.raises(FieldError):
        Mark.from_bytes(MARK.to_bytes()[:length])


def test_a_mark_from_the_future_is_refused_by_its_version() -> None:
    body = json.dumps({**MARK.to_json(), "version": 2}).encode()
    with pytest.raises(FieldError, match="version"):
        Mark.from_bytes(HEADER.pack(MAGIC, len(body), zlib.crc32(body)) + body)


def test_a_length_that_lies_does_not_make_it_read_on() -> None:
    body = json.dumps(MARK.to_json()).encode()
    with pytest.raises(FieldError):
        Mark.from_bytes(HEADER.pack(MAGIC, 2**32 - 1, zlib.crc32(body)) + body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node_id", "../../etc/passwd"),
        ("install_id", INSTALL.upper()),
        ("root_partuuid", "4d0b5f4c-01 init=/bin/sh"),
        ("autonomous_after_s", -1),
        ("autonomous_after_s", True),
        ("evidence", {"kind": "dt-serial", "value": "one\ntwo"}),
        ("evidence", {"kind": "<b>", "value": "x"}),
    ],
)
def test_what_does_not_belong_into_a_mark_is_named(field: str, value: Json) -> None:
    with pytest.raises(FieldError, match=field):
        Mark.from_file(json.dumps({**MARK.to_json(), field: value}).encode())


def test_a_mark_names_the_board_whose_evidence_it_carries() -> None:
    own = grade_evidence(EvidenceKind.DT_SERIAL, "10000000abcdef01", "x")
    assert MARK.names((grade_evidence(EvidenceKind.MAC, "00:48:54:20:33:01", "x"), own))
    assert not MARK.names((replace(own, value="10000000abcdef02"),))
    assert not MARK.names((replace(own, kind=EvidenceKind.SOC_SERIAL),))


def test_a_placeholder_in_a_mark_names_nobody() -> None:
    nobody = grade_evidence(EvidenceKind.DT_SERIAL, "0000000000000000", "x")
    assert not replace(MARK, evidence_value="0000000000000000").names((nobody,))


def test_a_disk_tells_of_its_mark_and_one_of_an_older_agent_of_none() -> None:
    disk = Disk("sda", 1 << 40, Transport.SATA, "WD", "7", False, "/devices/x", MARK)
    told: dict[str, Any] = disk.to_json()
    assert Disk.from_fields(Fields(told)) == disk
    del told["mark"]
    assert Disk.from_fields(Fields(told)) == replace(disk, mark=None)
