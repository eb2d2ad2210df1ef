"""What differs between the architectures, as rows. Pure data: adding one is adding a row. Names are Debian's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A release of Debian. `python` is its interpreter, which is what gets frozen."""

    name: str
    python: str


BOOKWORM = Release("bookworm", "3.11")
TRIXIE = Release("trixie", "3.13")


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
    release: Release = BOOKWORM  # the oldest kernel and C library that serve every board: what ran before goes on running
    kernel_file: str = "vmlinuz"  # what Debian calls the kernel's file in /boot, before the version
    kexec_package: str = "kexec-tools"
    strip_modules: bool = False  # only where no locked-down kernel asks for the modules' signatures, which are lost with it
    cross_bootloader: str = ""  # PyInstaller's folder for a bootloader that no wheel has, made with `cross_compiler`
    cross_compiler: str = ""
    cross_packages: str = ""  # of a Debian machine, for a hint
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
        # One kernel for the cards of all boards: armmp-lpae does not start on Cortex-A8 and A9 (i.MX53, Cubieboard,
        # PandaBoard). armmp leaves memory above 4 GiB alone, which a loader does not miss.
        kernel_package="linux-image-armmp",
        # PyPI has no armhf wheel. The Python part is the same in all of them; the bootloader is compiled from the sdist.
        wheel_platform="manylinux2014_x86_64",
        cross_bootloader="Linux-32bit-arm",
        cross_compiler="arm-linux-gnueabihf-gcc",
        cross_packages="gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
        has_dtbs=True,
    ),
    Architecture(
        name="riscv64",
        triplet="riscv64-linux-gnu",
        dynamic_loader="lib/ld-linux-riscv64-lp64d.so.1",
        emulator="riscv64",
        uname_machines=("riscv64",),
        kernel_package="linux-image-riscv64",
        # The first release that has riscv64.
        release=TRIXIE,
        # An uncompressed Image in spite of the name.
        kernel_file="vmlinux",
        # Debian's does not know riscv64; the agent makes the system call itself.
        kexec_package="",
        # Most of a module are labels that the compiler made (213 000 in ext4 alone) and BPF's type information; without
        # them 59 MB of modules are 17 MB. Debian signs no boot chain for riscv64, so no kernel is locked down.
        strip_modules=True,
        # PyPI has no riscv64 wheel: as armhf.
        wheel_platform="manylinux2014_x86_64",
        cross_bootloader="Linux-64bit-riscv",
        cross_compiler="riscv64-linux-gnu-gcc",
        cross_packages="gcc-riscv64-linux-gnu libc6-dev-riscv64-cross",
        has_dtbs=True,
    ),
)

ARCHITECTURES: dict[str, Architecture] = {row.name: row for row in _ROWS}
