"""Turns the description of a simulated board into QEMU's arguments. No I/O here."""

from pathlib import Path

from scripts.lab.disks import disks_argv
from scripts.lab.guest import CardBoot, DeadNet, DirectBoot, Guest, Nic, SwitchedNet, UserNet
from scripts.lab.machine import Card, Machine, Named, Network, Start, VerdictBy

VERDICT_PORT = "org.bootpilot.verdict"


def qemu_argv(guest: Guest) -> list[str]:
    """The command that simulates this machine. Its console is QEMU's stdin and stdout."""
    return [
        *machine_argv(guest.machine, memory_mib=guest.memory_mib, qemu=guest.qemu),
        *["-nodefaults", "-no-user-config", "-display", "none"],
        *["-action", f"reboot={'shutdown' if guest.stop_at_reset else 'reset'}"],
        *["-chardev", "stdio,id=console,signal=off", *["-serial", "null"] * guest.machine.serial_index],
        *["-serial", "chardev:console", "-qmp", f"unix:{_value(guest.control_path)},server=on,wait=off"],
        *(_verdict_argv(guest) if guest.machine.verdict is VerdictBy.PORT else []),
        *_boot_argv(guest),
        *_identity_argv(guest),
        *disks_argv(guest.disks, guest.machine.virtio),
        *[word for index, nic in enumerate(guest.nics) for word in _nic_argv(guest.machine, nic, index)],
        *(["-device", "i6300esb"] if guest.watchdog else []),
        *guest.extra,
    ]


def machine_argv(machine: Machine, *, memory_mib: int = 0, options: str = "", qemu: tuple[str, ...] = ()) -> list[str]:
    """The part that decides what hardware there is, and so what QEMU's device tree says. `options` are added to -machine."""
    return [
        *[*(qemu or (machine.qemu,)), "-machine", machine.machine + options, "-accel", "tcg"],
        *(["-cpu", machine.cpu] if machine.cpu else []),
        *["-smp", str(machine.cpus), "-m", str(memory_mib or machine.memory_mib)],
        # QEMU's virt board leaves its GPIO controller out when there is firmware; so the device tree must be made with it.
        *(["-bios", machine.firmware[0]] if machine.start in {Start.BIOS, Start.OPENSBI} else []),
    ]


def dumpdtb_argv(machine: Machine, path: Path, *, memory_mib: int = 0) -> list[str]:
    """The command that writes the device tree that QEMU would give this machine, and ends."""
    return [
        *machine_argv(machine, memory_mib=memory_mib, options=f",dumpdtb={_value(path)}"),
        "-nodefaults",
        "-display",
        "none",
    ]


def _verdict_argv(guest: Guest) -> list[str]:
    return [
        *["-device", f"virtio-serial-{guest.machine.virtio}"],
        *["-chardev", f"file,id=verdict,path={_value(guest.verdict_path)}"],
        *["-device", f"virtserialport,chardev=verdict,name={VERDICT_PORT}"],
    ]


def _boot_argv(guest: Guest) -> list[str]:
    match guest.boot:
        case CardBoot(image, device_tree, firmware):
            tree = ["-dtb", str(device_tree)] if device_tree else []
            return [*tree, *_firmware_argv(guest.machine.start, firmware), *_card_argv(guest.machine, image)]
        case DirectBoot(kernel, initramfs, command_line, device_tree, card):
            return [
                *["-kernel", str(kernel), "-initrd", str(initramfs), "-append", command_line],
                *(["-dtb", str(device_tree)] if device_tree else []),
                *(_card_argv(guest.machine, card) if card else []),
            ]


def _firmware_argv(start: Start, files: tuple[Path, ...]) -> list[str]:
    match start:
        case Start.OPENSBI | Start.FLASHED:
            return ["-kernel", str(files[-1])]
        case Start.UEFI:
            code, variables = (_value(path) for path in files)
            return [
                *["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"],
                *["-drive", f"if=pflash,unit=1,format=raw,file={variables}"],
            ]
        case _:
            return []


def _card_argv(machine: Machine, image: Path) -> list[str]:
    if machine.card is Card.SLOT:
        return ["-drive", f"if=sd,index=0,format=raw,file={_value(image)}"]
    device = "sd-card" if machine.card is Card.SD_DEVICE else f"virtio-blk-{machine.virtio}"
    return ["-drive", f"if=none,id=card,format=raw,file={_value(image)}", "-device", f"{device},drive=card"]


def _identity_argv(guest: Guest) -> list[str]:
    match guest.machine.named:
        case Named.DMI:
            return ["-uuid", guest.identity.uuid, "-smbios", f"type=1,serial={guest.identity.serial}"]
        case Named.SID:
            return ["-global", f"allwinner-sid.identifier={guest.identity.uuid}"]
        case Named.DISK:
            disk = f"if=none,id=disk,format=raw,file={_value(guest.disk_path)}"
            return ["-drive", disk, "-device", f"ide-hd,drive=disk,bus=ide.0,serial={guest.identity.serial}"]
        case _:
            return []


def _nic_argv(machine: Machine, nic: Nic, index: int) -> list[str]:
    if machine.network is Network.ONBOARD:
        # The board's own controller is no -device: -nic is the way to give it a MAC and a cable.
        (netdev,) = _netdevs(nic.net, index)
        return ["-nic", f"{netdev},mac={nic.mac}"]
    if machine.network is Network.USB:
        device = f"usb-net,netdev=net{index},mac={nic.mac}"
    else:
        # No option ROM: the loader is already there, and QEMU's ROM files are a package of their own.
        rom = ",romfile=" if machine.virtio == "pci" else ""
        device = f"virtio-net-{machine.virtio},netdev=net{index},mac={nic.mac}{rom}"
    return [*(word for netdev in _netdevs(nic.net, index) for word in ("-netdev", netdev)), "-device", device]


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
    places = f",net={net.subnet},host={net.host},dns={net.dns},dhcpstart={net.first_address}" if net.subnet else ""
    return f"user,id={name}{places}{forward}{bootfile}{',restrict=on' if net.is_closed else ''}"


def _stream(name: str, path: Path) -> str:
    return f"stream,id={name},server=off,addr.type=unix,addr.path={_value(path)}"


def _value(path: Path) -> str:
    # In QEMU's option strings a comma ends the value; a doubled one stands for itself.
    return str(path).replace(",", ",,")
