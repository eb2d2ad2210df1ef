"""Tells root file systems and disk images by how they begin, unpacked. No I/O here."""

from bootpilot_agent.install_order import ImageKind

# As much of the unpacked file as this looks at.
BEGINNING_BYTES = 64 << 10
BLOCK = 512
# What an archive in the OCI image layout has at its top, whatever comes first (opencontainers image-spec, image-layout).
OCI_NAMES = (b"oci-layout", b"index.json", b"blobs")


def image_kind(beginning: bytes) -> ImageKind | None:
    """None for what is none of them."""
    # POSIX.1-2017, pax: "ustar" at 257, in GNU's variant followed by a blank.
    if beginning[257:262] == b"ustar":
        return ImageKind.OCI if _first_names(beginning) & set(OCI_NAMES) else ImageKind.TAR
    # UEFI 2.10, 5.3.2: the header of a GPT in the second block, of 512 or 4096 bytes.
    if b"EFI PART" in (beginning[BLOCK : BLOCK + 8], beginning[4096:4104]):
        return ImageKind.DISK
    # 5.2.1: an MBR ends with 55 AA; one that means anything has a partition whose type is not 0.
    types = [beginning[start + 4 : start + 5] for start in range(446, 510, 16)]
    return ImageKind.DISK if beginning[510:512] == b"\x55\xaa" and any(kind not in (b"", b"\0") for kind in types) else None


def is_block_map(head: bytes) -> bool:
    """bmaptool's: XML whose root is `bmap`."""
    return head.lstrip().startswith(b"<?xml") and b"<bmap" in head


def _first_names(beginning: bytes) -> set[bytes]:
    """The first part of each member's name, as far as whole headers are there."""
    names, place = set(), 0
    while place + BLOCK <= len(beginning) and beginning[place + 257 : place + 262] == b"ustar":
        header = beginning[place : place + BLOCK]
        names.add(header[:100].split(b"\0")[0].removeprefix(b"./").split(b"/")[0])
        size = header[124:135].strip(b" \0")
        if not size.isdigit():
            break
        place += BLOCK + -(-int(size, 8) // BLOCK) * BLOCK
    return names
