"""Disks that hold other people's data, made by the tools that make them: LVM, RAID, a file system and swap, in a guest.

No root is needed, for the tools run as root of a simulated PC of their own. Its power is cut at the end, so the file system is
as a crash leaves one: mounted, with a journal to be replayed.
"""

import shutil
import tempfile
from pathlib import Path

from bootpilot_agent.cpio import Entry, character_device, regular, write_cpio
from initramfs.architectures import ARCHITECTURES
from initramfs.build import BuildOptions
from initramfs.cache import cached_folder, file_sha256, key_of
from initramfs.chroot import prepare_root
from initramfs.drivers import DriverGroup
from initramfs.image_layout import add_modules
from initramfs.kernel import KMOD_INDEXES, Kernel, fetch_kernel, staged_modules
from initramfs.layout import Layout
from initramfs.packages import Packages
from initramfs.private_apt import PackageSet
from initramfs.programs import root_packages
from scripts.lab.disk_images import make_disk
from scripts.lab.disks import Bus
from scripts.lab.guest import DirectBoot, Guest, Identity
from scripts.lab.machines import MACHINES
from scripts.lab.vm import start_guest

MAKER = Path(__file__).with_name("foreign_disks.sh")
# In the order in which the maker's script finds them: /dev/vda, /dev/vdb, ...
NAMES = ("lvm", "raid", "ext4", "hibernated")
SIZE_MIB = 640
TOOLS = PackageSet(with_dependencies=("busybox-static", "e2fsprogs", "fdisk", "kmod", "lvm2", "mdadm", "util-linux"))
DRIVERS = DriverGroup("foreign-disks", "virtio_pci virtio_blk dm-mod md-mod raid1 ext4", "what the tools need")
NOT_NEEDED = ("usr/share", "usr/lib/python3", "var", "dev", "run", "tmp")


def foreign_disks() -> dict[str, Path]:
    """The images by name, made once. They belong to the cache: copy them (`cp --sparse`), do not start a machine with them."""
    architecture, progress = ARCHITECTURES["amd64"], BuildOptions().progress
    packages = Packages(architecture, progress)
    kernel = fetch_kernel(packages, architecture, architecture.kernel_package)
    tools = packages.resolve(TOOLS)
    inputs = [kernel.package.sha256, *(package.sha256 for package in tools), file_sha256(MAKER), file_sha256(Path(__file__))]

    def make(folder: Path) -> None:
        programs = packages.unpacked(packages.resolve(root_packages(architecture)), prepare_root)
        modules = staged_modules(kernel, (DRIVERS,), architecture, programs)
        with progress.step("making disks with other people's data"), tempfile.TemporaryDirectory(prefix="bp-") as work:
            initrd = _initrd(packages.unpacked(tools), kernel, modules, Path(work) / "initrd.cpio")
            _run_maker(kernel.image, initrd, folder, Path(work))

    folder = cached_folder("foreign-disks", key_of(inputs), make)
    return {name: folder / f"{name}.img" for name in NAMES}


def copied(image: Path, target: Path) -> Path:
    """A copy of an image, whose holes stay holes."""
    # shutil knows nothing of holes, and most of these are holes.
    with image.open("rb") as source, target.open("xb") as copy:
        while chunk := source.read(1 << 20):
            if chunk.strip(b"\0"):
                copy.write(chunk)
            else:
                copy.seek(len(chunk), 1)
        copy.truncate(image.stat().st_size)
    return target


def _run_maker(kernel: Path, initrd: Path, folder: Path, work: Path) -> None:
    disks = tuple(make_disk(work / f"{name}.img", Bus.VIRTIO, name, SIZE_MIB) for name in NAMES)
    machine = MACHINES["amd64"]
    boot = DirectBoot(kernel, initrd, f"console={machine.console} panic=10")
    guest = Guest(machine, Identity.named("maker of disks"), boot, (), work, disks=disks)
    with start_guest(guest) as running:
        said = running.wait_for_line(r"^maker: ", machine.deadline_s)
        assert said.text == "maker: all disks are made", running.console()
        running.cut_power()
    for disk in disks:
        shutil.move(copied(disk.path, folder / f"{disk.serial}.tmp"), folder / disk.path.name)


def _initrd(tools: Path, kernel: Kernel, modules: Path, path: Path) -> Path:
    layout = Layout()
    layout.add("init", character_device("dev/console", 5, 1))
    layout.add("init", regular("init", MAKER.read_bytes(), 0o755))
    layout.add_tree("tools", "", tools)
    add_modules(layout, modules, kernel.version, KMOD_INDEXES)
    with path.open("wb") as stream:
        write_cpio((entry for entry in layout.ordered() if _is_needed(entry)), stream)
    return path


def _is_needed(entry: Entry) -> bool:
    return entry.name == "dev/console" or not any(entry.name.startswith(f"{folder}/") for folder in NOT_NEEDED)
