"""The programs of an image besides the agent: where they lie in Debian's packages and where they go."""

from collections.abc import Collection, Iterable
from pathlib import Path

from bootpilot_agent.cpio import symlink
from initramfs.architectures import Architecture
from initramfs.elf import is_elf, needed_libraries
from initramfs.layout import Layout
from initramfs.private_apt import PackageSet

_ROOT_PACKAGES = (
    "busybox",  # the loader's shell and DHCP client
    "kmod",  # modprobe, and depmod at build time
    "libgcc-s1",  # glibc opens it when a thread ends; nothing links it
    "python3",
    "python3-netifaces",  # PyPI has the source only
    "libudev1",  # for pyudev
    "libzstd1",  # kernels on a board's disk may be packed so; trixie's kmod opens neither by linking
    "liblzma5",
    "libc-bin",  # ldd, with which PyInstaller finds libraries
    "bash",  # ldd is a bash script
    "coreutils",
    "grep",
    "sed",
    "binutils",  # objcopy puts the start-up table into PyInstaller's bootloader
    "zlib1g",
)
# It has no dependencies, and conflicts with busybox only because both are called busybox.
STATIC_BUSYBOX = PackageSet(alone=("busybox-static",))

# What /init, the DHCP hook, the agent and a person with a shell use. kmod's own modprobe reads compressed modules and
# answers faster than busybox's, so its names are not here.
APPLETS = """
    [ arp arping ash awk basename blockdev cat chgrp chmod chown chroot clear cmp cp cttyhack cut date dd devmem
    df dirname dmesg du echo env expr false fdisk find findfs free grep gunzip gzip halt head hexdump hostname hwclock
    id ifconfig ip ipcalc kill killall less ln logger ls md5sum microcom mkdir mkdosfs mkfifo mknod mktemp more mount mv
    nc netstat nproc nslookup od pidof ping ping6 poweroff printf ps pwd readlink realpath reboot reset rm rmdir route
    sed seq setsid sh sha256sum sleep sort stat strings stty switch_root sync sysctl tail tar tee telnet test tftp time
    timeout top touch tr traceroute true tty udhcpc umount uname uniq unxz uptime usleep vconfig vi watch watchdog wc
    wget which xargs xxd xz xzcat yes zcat
"""
KEXEC = "sbin/kexec"
# Tells what is on a partition of any disk, LVM, RAID and encryption too, by its UUID and label; busybox's knows less.
BLKID = "sbin/blkid"
KMOD_NAMES = ("modprobe", "insmod", "rmmod", "lsmod", "modinfo")
# Opened at run time: by glibc, where pthread_exit aborts without it; by the agent, for packed kernels; by trixie's kmod.
OPENED_LIBRARIES = ("libgcc_s.so.1", "libzstd.so.1", "liblzma.so.5")


def root_packages(architecture: Architecture) -> PackageSet:
    """One root holds what PyInstaller runs on and what the loader takes programs from, so that both have the same C library."""
    # PyInstaller bundles the shared library; Debian's interpreter is linked statically.
    own = [f"libpython{architecture.release.python}", *filter(None, [architecture.kexec_package])]
    if architecture.has_dtbs:
        own.append("libfdt1")  # applies a plan's device tree overlays
    # blkid and its library need the C library only; all of util-linux would bring ten packages more.
    return PackageSet(with_dependencies=(*_ROOT_PACKAGES, *own), alone=("util-linux", "libblkid1"))


def add_busybox(layout: Layout, program: Path, applets: str, instead: Collection[str] = ()) -> None:
    """busybox and a link in /usr/bin for each of the applets named, but for those that a program of its own stands in for."""
    layout.add_file("busybox", "usr/bin/busybox", program)
    for name in applets.split():
        if name not in instead:
            layout.add("busybox", symlink(f"usr/bin/{name}", "busybox"))


def add_loader_programs(layout: Layout, root: Path, instead: Collection[str] = ()) -> None:
    """busybox, kmod, blkid and, where Debian has it, kexec from an unpacked root. `instead`: names that are no applets here."""
    add_busybox(layout, root / "bin" / "busybox", APPLETS, instead)
    if (root / KEXEC).is_file():
        layout.add_file("kexec", "usr/sbin/kexec", root / KEXEC)
    if "blkid" not in instead:
        layout.add_file("blkid", "usr/sbin/blkid", root / BLKID)
    layout.add_file("kmod", "usr/bin/kmod", root / "bin" / "kmod")
    for name in KMOD_NAMES:
        # The kernel itself asks for /sbin/modprobe (CONFIG_MODPROBE_PATH).
        layout.add("kmod", symlink(f"usr/sbin/{name}", "../bin/kmod"))


def loader_programs(root: Path) -> list[Path]:
    """The ELF files of what `add_loader_programs` adds."""
    kexec = [path for path in [root / KEXEC] if path.is_file()]
    return [root / "bin" / "busybox", *kexec, root / "bin" / "kmod", root / BLKID]


def add_libraries(
    layout: Layout, root: Path, architecture: Architecture, programs: Iterable[Path], bundle: Path | None = None
) -> None:
    """The shared libraries that these programs need, and those that a frozen program needs from outside its own `bundle`.

    What the bundle has brought along is linked, not copied: libcrypto alone is 4.5 MB.
    """
    folders = library_folders(root, architecture)
    opened = [folder / name for folder in folders for name in OPENED_LIBRARIES if (folder / name).exists()]
    wanted = needed_libraries([*programs, *opened], folders) | {path.name: path for path in opened}
    if bundle:
        parts = [path for path in sorted(bundle.rglob("*")) if is_elf(path)]
        of_bundle = needed_libraries(parts, [bundle, *folders])
        wanted |= {soname: path for soname, path in of_bundle.items() if bundle not in path.parents}
    for soname, path in sorted(wanted.items()):
        _add_library(layout, architecture, soname, path, bundle)


def library_folders(root: Path, architecture: Architecture) -> list[Path]:
    """Where an unpacked root has its shared libraries."""
    return [root / top / architecture.triplet for top in ("lib", "usr/lib")]


def _add_library(layout: Layout, architecture: Architecture, soname: str, path: Path, bundle: Path | None) -> None:
    if soname == Path(architecture.dynamic_loader).name:
        place = architecture.dynamic_loader
        layout.add_file("C library", f"usr/{place}" if place.startswith("lib/") else place, path)
        return
    place = f"usr/lib/{architecture.triplet}/{soname}"
    twin = bundle / soname if bundle else None
    if twin and twin.is_file() and twin.read_bytes() == path.read_bytes():
        layout.add("libraries", symlink(place, f"/opt/bootpilot/_internal/{soname}"))
    else:
        layout.add_file("C library" if soname.startswith(("libc.", "libm.")) else "libraries", place, path)
