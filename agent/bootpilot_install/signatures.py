"""What libblkid and the file systems' own headers say is on a stretch of disk, in a person's words. No I/O here."""

import re
import struct

# What blkid(8) prints with `-p -o export`; a value may be anything, so it is cut and cleaned.
PAIR = re.compile(r"^([A-Z_]+)=(.*)$", re.MULTILINE)
# blkid(8), EXIT STATUS: 2 nothing found, 8 ambivalent (several kinds at once).
NOTHING, AMBIVALENT = 2, 8

# Kinds whose name alone tells a person little.
MEANINGS = {
    "LVM2_member": "LVM physical volume",
    "linux_raid_member": "member of a Linux RAID",
    "swsuspend": "swap with a hibernated system in it",
    "crypto_LUKS": "encrypted (LUKS)",
    "isw_raid_member": "member of an Intel firmware RAID",
    "ddf_raid_member": "member of a firmware RAID (DDF)",
    "zfs_member": "ZFS",
}

EXT4_SUPERBLOCK = 1024
EXT4_MAGIC = 0xEF53
# fs/ext4/ext4.h: s_state bit 0 says that it was unmounted; INCOMPAT_RECOVER that its journal must be replayed.
EXT4_VALID, EXT4_RECOVER = 0x1, 0x4


def describe(returncode: int, output: str) -> tuple[str, ...]:
    """blkid's answer -> what there is; () for nothing."""
    if returncode == AMBIVALENT:
        return ("several kinds of data at once",)
    pairs = {key: value[:64] for key, value in PAIR.findall(output)}
    found = []
    if table := pairs.get("PTTYPE"):
        found.append(f"partition table ({table})")
    if kind := pairs.get("TYPE"):
        label = f' "{pairs["LABEL"]}"' if pairs.get("LABEL") else ""
        found.append((f"{kind}, {MEANINGS[kind]}" if kind in MEANINGS else kind) + label)
    return tuple(found)


def unclean(head: bytes) -> str:
    """Why an ext2/3/4 file system is not clean, from its first 4 KiB; "" if it is, or if there is none."""
    block = head[EXT4_SUPERBLOCK : EXT4_SUPERBLOCK + 0x100]
    if len(block) < 0x100 or struct.unpack_from("<H", block, 0x38)[0] != EXT4_MAGIC:
        return ""
    (state,) = struct.unpack_from("<H", block, 0x3A)
    (incompatible,) = struct.unpack_from("<I", block, 0x60)
    return "" if state & EXT4_VALID and not incompatible & EXT4_RECOVER else "not cleanly unmounted"
