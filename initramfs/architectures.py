"""What differs between the architectures, as rows. Pure data: adding one is adding a row. Names are Debian's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """One row. Paths are those inside Debian packages of that architecture, relative to the root."""

    name: str
    triplet: str  # of Debian's library folders
    dynamic_loader: str
    emulator: str  # qemu-user's name for it: the handler in binfmt_misc and /usr/lib/binfmt.d/qemu-<emulator>.conf
    uname_machines: tuple[str, ...]  # hosts that run it without an emulator
    kernel_package: str
    wheel_platform: str  # whose PyInstaller wheel is used
    cross_bootloader: str = ""  # PyInstaller's folder for a bootloader that no wheel has, made with `cross_compiler`
    cross_compiler: str = ""
    has_dtbs: bool = False


_ROWS = (
    Architecture(
        name="amd64",
        triplet="x86_64-linux-gnu",
        dynamic_loader="lib64/ld-linux-x86-64.so.2",
        emulator="x86_64",
        uname_machines=("x86_64",),
        kernel_package="linux-image-amd64",
        wheel_platform="manylinux2014_x86_64",
    ),
    Architecture(
        name="arm64",
        triplet="aarch64-linux-gnu",
        dynamic_loader="lib/ld-linux-aarch64.so.1",
        emulator="aarch64",
        uname_machines=("aarch64",),
        kernel_package="linux-image-arm64",
        wheel_platform="manylinux2014_aarch64",
        has_dtbs=True,
    ),
    Architecture(
        name="armhf",
        triplet="arm-linux-gnueabihf",
        dynamic_loader="lib/ld-linux-armhf.so.3",
        emulator="arm",
        # Not aarch64: many 64-bit ARM machines cannot run 32-bit programs.
        uname_machines=("armv7l", "armv8l"),
        # LPAE: memory above 4 GiB, and QEMU's virt board puts PCI there. Boards without LPAE (Cortex-A8, A9) take armmp.
        kernel_package="linux-image-armmp-lpae",
        # PyPI has no armhf wheel. The Python part is the same in all of them; the bootloader is compiled from the sdist.
        wheel_platform="manylinux2014_x86_64",
        cross_bootloader="Linux-32bit-arm",
        cross_compiler="arm-linux-gnueabihf-gcc",
        has_dtbs=True,
    ),
)

ARCHITECTURES: dict[str, Architecture] = {row.name: row for row in _ROWS}
