"""One simulated board, described: who it is, how it boots, its cables. Turns that into QEMU's arguments. No I/O here."""

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.machines import Machine

VERDICT_PORT = "org.bootpilot.verdict"
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
    """QEMU's user-mode network: DHCP, and the host's loopback as 10.0.2.2. Port 80 of the guest is `forward_port` here."""

    forward_port: int | None = None
    bootfile: str = ""


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
    """The machine's firmware starts a card image. `device_tree` is what the firmware passes on, with the serial number."""

    image: Path
    device_tree: Path


@dataclass(frozen=True)
class DirectBoot:
    """QEMU loads the loader itself, as PXE firmware would."""

    kernel: Path
    initramfs: Path
    command_line: str


@dataclass(frozen=True)
class Guest:
    """One machine to start. `folder` takes its control sockets and the verdict; it must be short (socket paths: 107 bytes).

    `stop_at_reset`: a reset ends QEMU, so that a crash is one event and not a loop.
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

    @property
    def verdict_path(self) -> Path:
        return self.folder / "verdict"

    @property
    def control_path(self) -> Path:
        return self.folder / "qmp"


def qemu_argv(guest: Guest) -> list[str]:
    """The command that simulates this machine. Its console is QEMU's stdin and stdout."""
    return [
        *machine_argv(guest.machine, memory_mib=guest.memory_mib),
        *["-nodefaults", "-no-user-config", "-display", "none"],
        *["-action", f"reboot={'shutdown' if guest.stop_at_reset else 'reset'}"],
        *["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"],
        *["-qmp", f"unix:{_value(guest.control_path)},server=on,wait=off"],
        *["-device", f"virtio-serial-{guest.machine.virtio}"],
        *["-chardev", f"file,id=verdict,path={_value(guest.verdict_path)}"],
        *["-device", f"virtserialport,chardev=verdict,name={VERDICT_PORT}"],
        *_boot_argv(guest),
        *[word for index, nic in enumerate(guest.nics) for word in _nic_argv(guest.machine, nic, index)],
        *(["-device", "i6300esb"] if guest.watchdog else []),
        *guest.extra,
    ]


def machine_argv(machine: Machine, *, memory_mib: int = 0, options: str = "") -> list[str]:
    """The part that decides what hardware there is, and so what QEMU's device tree says. `options` are added to -machine."""
    return [
        *[machine.qemu, "-machine", machine.machine + options, "-accel", "tcg", "-cpu", machine.cpu],
        *["-smp", str(machine.cpus), "-m", str(memory_mib or machine.memory_mib)],
        # QEMU's virt board leaves its GPIO controller out when there is firmware; so the device tree must be made with it.
        *(["-bios", machine.firmware] if machine.firmware else []),
    ]


def dumpdtb_argv(machine: Machine, path: Path, *, memory_mib: int = 0) -> list[str]:
    """The command that writes the device tree that QEMU would give this machine, and ends."""
    return [
        *machine_argv(machine, memory_mib=memory_mib, options=f",dumpdtb={_value(path)}"),
        "-nodefaults",
        "-display",
        "none",
    ]


def _boot_argv(guest: Guest) -> list[str]:
    match guest.boot:
        case CardBoot(image, device_tree):
            return [
                *["-dtb", str(device_tree)],
                *["-drive", f"if=none,id=card,format=raw,file={_value(image)}"],
                *["-device", f"virtio-blk-{guest.machine.virtio},drive=card"],
            ]
        case DirectBoot(kernel, initramfs, command_line):
            # Machines without a device tree show who they are by DMI.
            return [
                *["-kernel", str(kernel), "-initrd", str(initramfs), "-append", command_line],
                *["-uuid", guest.identity.uuid, "-smbios", f"type=1,serial={guest.identity.serial}"],
            ]


def _nic_argv(machine: Machine, nic: Nic, index: int) -> list[str]:
    device = f"virtio-net-{machine.virtio},netdev=net{index},mac={nic.mac}"
    # No option ROM: the loader is already there, and QEMU's ROM files are a package of their own.
    rom = ",romfile=" if machine.virtio == "pci" else ""
    return [*(word for netdev in _netdevs(nic.net, index) for word in ("-netdev", netdev)), "-device", device + rom]


def _netdevs(net: UserNet | DeadNet | SwitchedNet, index: int) -> list[str]:
    match net:
        case DeadNet():
            return [f"hubport,id=net{index},hubid={index}"]
        case UserNet():
            return [user_netdev(net, f"net{index}")]
        case SwitchedNet(trunk, access, user):
            # QEMU's user-mode network has no socket of its own: a hub joins it with one.
            return [
                _stream(f"net{index}", trunk),
                _stream(f"access{index}", access),
                f"hubport,id=hub{index}a,hubid={index},netdev=access{index}",
                user_netdev(user, f"user{index}"),
                f"hubport,id=hub{index}b,hubid={index},netdev=user{index}",
            ]


def user_netdev(net: UserNet, name: str) -> str:
    """The value of -netdev for a user-mode network called `name`."""
    forward = f",hostfwd=tcp:127.0.0.1:{net.forward_port}-:80" if net.forward_port else ""
    bootfile = f",bootfile={net.bootfile.replace(',', ',,')}" if net.bootfile else ""
    return f"user,id={name}{forward}{bootfile}"


def _stream(name: str, path: Path) -> str:
    return f"stream,id={name},server=off,addr.type=unix,addr.path={_value(path)}"


def _value(path: Path) -> str:
    # In QEMU's option strings a comma ends the value; a doubled one stands for itself.
    return str(path).replace(",", ",,")
