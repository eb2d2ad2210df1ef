"""Tells from its first bytes what an artifact is. No I/O here.

Only what a wrong profile would mix up matters: a kernel of another machine, a device tree in place of an initrd.
"""

HEADER_BYTES = 1024


def kernel_arch(head: bytes) -> str:
    """The architecture (Debian's name) of a kernel image, "" for anything else or a compressed kernel."""
    # Documentation/arch/x86/boot.rst: "HdrS" at 0x202; bit 0 of xloadflags at 0x236: a 64-bit entry point.
    if head[0x202:0x206] == b"HdrS":
        return "amd64" if head[0x236:0x237] and head[0x236] & 1 else ""
    # Documentation/arch/arm64/booting.rst: magic at 56.
    if head[56:60] == b"ARM\x64":
        return "arm64"
    # Documentation/arch/riscv/boot-image-header.rst: magic2 at 56.
    if head[56:60] == b"RSC\x05":
        return "riscv64"
    # arch/arm/boot/compressed/head.S: zImage magic at 0x24, either byte order.
    if head[0x24:0x28] in (b"\x18\x28\x6f\x01", b"\x01\x6f\x28\x18"):
        return "armhf"
    return ""


def role(head: bytes) -> str:
    """What a profile would use such a file as: kernel, dtb, overlay (of a dtb) or initrd."""
    if kernel_arch(head):
        return "kernel"
    # Devicetree specification v0.4, 5.2: magic of a flattened tree.
    if head[:4] != b"\xd0\x0d\xfe\xed":
        return "initrd"
    # The node in which an overlay's first fragment has what it adds (Documentation/devicetree/overlay-notes.rst).
    return "overlay" if b"__overlay__\0" in head else "dtb"
