"""One simulated board, described: who it is, how it boots, its cables. No I/O here; qemu_argv.py makes arguments of it."""

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.disks import Disk
from scripts.lab.machine import Machine

# Where a guest with QEMU's user-mode network finds the host's loopback, and the address it gets itself.
HOST_ADDRESS = "10.0.2.2"
# QEMU's and KVM's own prefix for locally given MACs.
MAC_PREFIX = "52:54:00"


@dataclass(frozen=True)
class Identity:
    """What tells one simulated board from another. All three follow from a name, so a named board is the same in every run."""

    serial: str
    uuid: str
    mac: str

    @classmethod
    def named(cls, name: str) -> "Identity":
        digest = hashlib.sha256(name.encode()).digest()
        mac = ":".join([MAC_PREFIX, *(f"{byte:02x}" for byte in digest[:3])])
        return cls(serial=f"BP{digest[3:8].hex().upper()}", uuid=str(uuid.UUID(bytes=digest[8:24], version=4)), mac=mac)


@dataclass(frozen=True)
class UserNet:
    """QEMU's user-mode network: DHCP, and the host's loopback as 10.0.2.2. Port 80 of the guest is `forward_port` here.

    With `subnet` ("10.1.0.0/24") it is that network instead; then `host`, `dns` and `first_address`, which the guest gets, are
    addresses of it. `is_closed`: leases name no router, and nothing can be reached.
    """

    forward_port: int | None = None
    bootfile: str = ""
    subnet: str = ""
    host: str = ""
    dns: str = ""
    first_address: str = ""
    is_closed: bool = False


@dataclass(frozen=True)
class DeadNet:
    """A cable into a switch on which nobody answers: carrier, but no DHCP."""


@dataclass(frozen=True)
class SwitchedNet:
    """A switch (see vlan_switch.py) with the board at its socket `trunk`, and QEMU's user-mode network at `access`."""

    trunk: Path
    access: Path
    user: UserNet = UserNet()


@dataclass(frozen=True)
class Nic:
    """One network card and what it is plugged into."""

    mac: str
    net: UserNet | DeadNet | SwitchedNet


@dataclass(frozen=True)
class CardBoot:
    """The machine's firmware starts a card image. `device_tree` is what the firmware passes on, if it comes from QEMU.

    `firmware` are the files of the machine's `start`, in that order.
    """

    image: Path
    device_tree: Path | None = None
    firmware: tuple[Path, ...] = ()


@dataclass(frozen=True)
class DirectBoot:
    """QEMU loads the loader itself, as PXE firmware would. With `image` that card is in the machine's slot."""

    kernel: Path
    initramfs: Path
    command_line: str
    device_tree: Path | None = None
    image: Path | None = None


@dataclass(frozen=True)
class Guest:
    """One machine to start. `folder` takes its control sockets and the verdict; it must be short (socket paths: 107 bytes).

    `qemu` is how to start the machine's QEMU, if not by its name. `stop_at_reset`: a reset ends QEMU, so that a crash is one
    event and not a loop.
    """

    machine: Machine
    identity: Identity
    boot: CardBoot | DirectBoot
    nics: tuple[Nic, ...]
    folder: Path
    memory_mib: int = 0
    watchdog: bool = False
    stop_at_reset: bool = True
    extra: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()
    disks: tuple[Disk, ...] = ()

    @property
    def page_port(self) -> int | None:
        """The port on this machine's loopback that leads to the payload's page."""
        nets = (nic.net.user if isinstance(nic.net, SwitchedNet) else nic.net for nic in self.nics)
        return next((net.forward_port for net in nets if isinstance(net, UserNet) and net.forward_port), None)

    @property
    def verdict_path(self) -> Path:
        return self.folder / "verdict"

    @property
    def disk_path(self) -> Path:
        return self.folder / "disk.img"

    @property
    def control_path(self) -> Path:
        return self.folder / "qmp"
