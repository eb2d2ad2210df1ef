"""Installs simulated boards: the image installer and a root file system at the boot server, and the board on its list.

Builds and publishes; what a board then does, its disks and its server show.
"""

from dataclasses import dataclass

from initramfs.build import RamSystem, build_installer
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built
from scripts.lab.guest import Guest
from scripts.lab.install_site import InstallWish, install_files
from scripts.lab.machine import Named
from scripts.lab.site_folder import StoredArtifact
from scripts.rootfs.build import Rootfs, build_rootfs


@dataclass(frozen=True)
class InstallKit:
    """Everything of one architecture that an installation needs and that takes long to make; from the cache if it can be."""

    built: Built
    installer: RamSystem
    rootfs: Rootfs


def install_kit(built: Built, name: str) -> InstallKit:
    """With the root file system `name` (minimal, lamp). Raises BuildError."""
    arch = built.machine.arch
    return InstallKit(built, build_installer(arch), build_rootfs(name, arch))


@dataclass(frozen=True)
class Stored:
    """The kit's files as a server has taken them in."""

    kernel: StoredArtifact
    initrd: StoredArtifact
    image: StoredArtifact


def store_kit(server: BootServer, kit: InstallKit) -> Stored:
    """Give the server the files. Raises LabError."""
    arch = kit.built.machine.arch
    return Stored(
        server.add_artifact(kit.installer.kernel, f"vmlinuz-{arch}"),
        server.add_artifact(kit.installer.initrd, f"installer-{arch}", kit.installer.initrd_unpacked_bytes),
        server.add_artifact(kit.rootfs.archive, f"rootfs-{arch}", kit.rootfs.unpacked_bytes),
    )


def want_install(server: BootServer, kit: InstallKit, stored: Stored, wish: InstallWish) -> None:
    """Put a profile and a rule in force that install it as wished. Raises LabError."""
    server.apply(install_files(kit.built.machine, stored.kernel, stored.initrd, stored.image, wish))


def announce(server: BootServer, guest: Guest) -> None:
    """Put the board on the server's list, which approves it before it ever asks. Raises LabError."""
    by_serial = guest.machine.named in (Named.DMI, Named.TREE)
    serial, mac = (guest.identity.serial, "") if by_serial else ("", guest.identity.mac)
    nodes = server.home / "nodes.csv"
    nodes.write_text(f"serial;mac;name\n{serial};{mac};board\n")
    server.command("node", "import", str(nodes), "--yes")
