"""The content of an unpacked system: packages' files, a kernel with the drivers named, an initrd of its own. Runs none of it.

Everything but the reading of files is in memory: an ordinary user makes a system that belongs to root.
"""

from pathlib import Path

from bootpilot_agent.cpio import directory, regular, symlink
from initramfs.architectures import Architecture
from initramfs.archive import write_image
from initramfs.cache import tree_digests
from initramfs.chroot import prepare_root
from initramfs.drivers import DRIVER_GROUPS
from initramfs.image_folder import builder_digests
from initramfs.image_layout import add_modules, begin_bare_layout
from initramfs.kernel import BUSYBOX_INDEXES, Kernel, fetch_kernel, staged_modules
from initramfs.layout import Layout, merged_usr
from initramfs.packages import Packages, built_unix_s
from initramfs.private_apt import PackageSet
from initramfs.programs import add_busybox, root_packages
from initramfs.progress import Progress
from initramfs.workload import APPLETS, FILES
from scripts.rootfs.description import Description
from scripts.rootfs.recipe import Recipe
from scripts.rootfs.tar_archive import write_tar

CODE = ("unpacked.py", "tar_archive.py", "initrd/**/*")
BUSYBOX = "bin/busybox"
# Groups of drivers that an initrd does without: they come once the root is mounted.
NOT_TO_A_DISK = ("virtio-port", "pci-net", "usb-net", "phy", "vlan", "ipv6", "watchdog", "clock")
INITRD_FILES = Path(__file__).with_name("initrd")
# The last part of its archive; all else in the initrd stays as it is when it changes.
INITRD_LAST_PART = "init"
# Besides the workload's: for the initrd, and for a person with a shell.
MORE_APPLETS = "cmp findfs fold hexdump switch_root tac tee touch"
# For people who have the packages' manuals at hand.
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/bug")
_TOP_LINKS = ("bin", "sbin", "lib")


def unpacked_recipe(described: Description, architecture: Architecture, packages: Packages, progress: Progress) -> Recipe:
    """Raises BuildError where a package is unknown or cannot be fetched."""
    kernel = fetch_kernel(packages, architecture, architecture.kernel_package)
    tools = packages.resolve(root_packages(architecture))  # depmod
    own = packages.resolve(PackageSet(alone=described.packages))
    groups = tuple(group for group in DRIVER_GROUPS if group.name in described.drivers)
    to_disk = tuple(group for group in groups if group.name not in NOT_TO_A_DISK)

    def make(work: Path) -> Path:
        root, system = packages.unpacked(tools, prepare_root), packages.unpacked(own)
        initrd = initrd_layout(system / BUSYBOX, kernel, staged_modules(kernel, to_disk, architecture, root))
        time_s = built_unix_s((*own, kernel.package))
        write_image(initrd, work / "initrd", time_s, INITRD_LAST_PART)
        modules = staged_modules(kernel, groups, architecture, root)
        layout = system_layout(described, system, kernel, modules, work / "initrd")
        write_tar(layout, work / "root.tar", time_s)
        return work / "root.tar"

    inputs = (*own, kernel.package)
    shas = [package.sha256 for package in (*inputs, *tools)]
    code = [builder_digests("workload"), tree_digests(Path(__file__).parent, CODE)]
    key = [shas, [vars(group) for group in groups], code]
    return Recipe(inputs, key, make)


def initrd_layout(busybox: Path, kernel: Kernel, modules: Path) -> Layout:
    """The initrd: busybox, the modules and a script that mounts what root= names."""
    layout = begin_bare_layout("folders", INITRD_LAST_PART)
    layout.add_tree(INITRD_LAST_PART, "", INITRD_FILES)
    _add_busybox(layout, busybox)
    add_modules(layout, modules, kernel.version, BUSYBOX_INDEXES)
    return layout


def system_layout(described: Description, packages: Path, kernel: Kernel, modules: Path, initrd: Path) -> Layout:
    """The root file system. `packages`: unpacked together; `modules`: staged with indexes; `initrd`: a file."""
    layout = Layout()
    for entry in merged_usr():
        layout.add("folders", entry)
    for name in ("boot", "home", "media", "opt", "srv", "usr/share", "var/lib", "var/log"):
        layout.add("folders", directory(name))
    layout.add("folders", directory("var/tmp", 0o1777))
    _add_packages(layout, packages)
    _add_busybox(layout, packages / BUSYBOX)
    add_modules(layout, modules, kernel.version, BUSYBOX_INDEXES)
    # What the agent looks for on a disk: the newest of these two.
    layout.add_file("kernel", f"boot/vmlinuz-{kernel.version}", kernel.image)
    layout.add_file("kernel", f"boot/initrd.img-{kernel.version}", initrd)
    layout.add_tree("system", "usr/lib/workload", FILES / "usr/lib/workload")
    for overlay in described.overlays:
        layout.add_tree("system", "", overlay)
    if described.hostname:
        layout.add("system", regular("etc/hostname", f"{described.hostname}\n".encode()))
    return layout


def _add_packages(layout: Layout, packages: Path) -> None:
    for path in sorted(packages.rglob("*")):
        name = str(path.relative_to(packages))
        if path.is_dir() or name.startswith(_LEFT_OUT):
            continue
        # Where /bin, /sbin and /lib are links into /usr.
        place = f"usr/{name}" if name.split("/")[0] in _TOP_LINKS else name
        if path.is_symlink():
            layout.add("packages", symlink(place, str(path.readlink())))
        else:
            layout.add_file("packages", place, path)


def _add_busybox(layout: Layout, busybox: Path) -> None:
    add_busybox(layout, busybox, f"{APPLETS} {MORE_APPLETS}")
    # The kernel itself asks for /sbin/modprobe (CONFIG_MODPROBE_PATH).
    layout.add("busybox", symlink("usr/sbin/modprobe", "../bin/busybox"))
