"""Archives that are not, or no longer, what scripts/capture-board packs."""

import io
import tarfile

import pytest

from scripts.capturing.archive import MAX_FILE_BYTES, MAX_PACKED_BYTES, read_archive
from scripts.capturing.errors import CaptureError
from scripts.capturing.gpt import with_checksums


def packed(*members: tuple[str, bytes, str, int], notes: bytes = b"capture-board 1; kernel 6.1") -> bytes:
    """(name, kind, link's target, size) after the notes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        rows = (("capture.txt", tarfile.REGTYPE, "", len(notes)), *members)
        for name, kind, target, size in rows:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, size
            archive.addfile(info, io.BytesIO(notes if name == "capture.txt" else bytes(size)) if size else None)
    return raw.getvalue()


def test_what_capture_board_packs_is_read() -> None:
    found = read_archive(packed(("root/proc/cpuinfo", tarfile.REGTYPE, "", 3), ("root/sys/a", tarfile.SYMTYPE, "../proc", 0)))
    assert (found.files, found.links) == ({"proc/cpuinfo": bytes(3)}, {"sys/a": "../proc"})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no archive",
        packed()[:40],
        packed(notes=b"something else"),
        packed(("root/proc/../../x", tarfile.REGTYPE, "", 1)),
        packed(("/etc/passwd", tarfile.REGTYPE, "", 1)),
        packed(("root/etc/passwd", tarfile.REGTYPE, "", 1)),
        packed(("root/dev/sda", tarfile.BLKTYPE, "", 0)),
        packed(("root/sys/a", tarfile.LNKTYPE, "/etc/passwd", 0)),
        packed(("root/sys/a", tarfile.SYMTYPE, "/etc", 0)),
        packed(("root/sys/a", tarfile.SYMTYPE, "../../etc", 0)),
        packed(("root/sys/a", tarfile.SYMTYPE, "b/../..", 0)),
        packed(("root/sys/a", tarfile.REGTYPE, "", MAX_FILE_BYTES + 1)),
        bytes(MAX_PACKED_BYTES + 1),
    ],
)
def test_anything_else_is_refused_with_a_reason(raw: bytes) -> None:
    with pytest.raises(CaptureError):
        read_archive(raw)


@pytest.mark.parametrize("disk", [b"", bytes(512), bytes(512) + b"EFI PART"])
def test_what_is_no_whole_table_stays_as_it_is(disk: bytes) -> None:
    assert with_checksums(disk) == disk
