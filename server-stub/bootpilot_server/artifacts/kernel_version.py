"""Which release a kernel is, as `uname -r` would say: by its header, or by the banner in its unpacked image."""

import re
import struct

from bootpilot_server.artifacts.compression import FAULTS, MAX_KERNEL_BYTES, beginning_of
from bootpilot_server.artifacts.kernel_header import kernel_arch

# init/version.c: linux_banner is "Linux version " UTS_RELEASE " (" ...; the placeholder in other strings has a %s there.
BANNER = re.compile(rb"Linux version ([0-9][\x21-\x7e]{0,63}) \(")
MAX_RELEASE = 64
# What arch/arm/boot/compressed packs with; gzip's third byte is its only method. Where they stand by chance, nothing unpacks.
PAYLOADS = (b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x5d\0\0")
MAX_TRIES = 64


def kernel_version(image: bytes) -> str:
    """ "" where the image does not tell."""
    arch = kernel_arch(image[:1024])
    if arch == "amd64":
        return _bzimage_version(image)
    if found := _banner(image):
        return found
    return _compressed_version(image) if arch == "armhf" else ""


def _bzimage_version(image: bytes) -> str:
    """Documentation/arch/x86/boot.rst: kernel_version at 0x20e is where the text stands, less 0x200."""
    (offset,) = struct.unpack_from("<H", image, 0x20E)
    if not offset:
        return ""
    text = image[offset + 0x200 : offset + 0x200 + 256].partition(b"\0")[0].decode("ascii", "replace")
    return text.partition(" ")[0][:MAX_RELEASE]


def _banner(image: bytes) -> str:
    found = BANNER.search(image)
    return found[1].decode("ascii") if found else ""


def _compressed_version(image: bytes) -> str:
    """A zImage unpacks itself: the image proper is somewhere in it, with code before and after."""
    for magic in PAYLOADS:
        tries, start = 0, image.find(magic)
        while start >= 0 and tries < MAX_TRIES:
            tries += 1
            try:
                if found := _banner(beginning_of(image[start:], MAX_KERNEL_BYTES)):
                    return found
            except FAULTS:
                pass
            start = image.find(magic, start + 1)
    return ""
