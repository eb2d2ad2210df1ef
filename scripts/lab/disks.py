"""The disks of a simulated board besides its card, as QEMU attaches them. No I/O here; disk_images.py makes the files.

A disk is a file that outlives the power: starting the same guest again is the next power-on with the same disks. When the power
is cut (QEMU is killed), what the guest still had in its own memory is lost. Of what it had sent to the disk, an ordinary one
keeps all; a volatile one keeps what was flushed, and loses the rest (disk_caches.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

CONTROLLER_ID = "disks"


class Bus(Enum):
    """How a disk is attached."""

    SATA = "an AHCI controller on PCI"
    USB = "a USB 3 controller on PCI"
    NVME = "its own NVMe controller on PCI"
    VIRTIO = "a virtio device"
    ONBOARD_SATA = "the SATA port that the board has"


@dataclass(frozen=True)
class Disk:
    """One disk with its content, in a raw image. Its serial number tells it from the others."""

    path: Path
    bus: Bus
    serial: str
    volatile: bool = False

    @property
    def socket(self) -> Path:
        """Where QEMU finds the cache of a volatile disk: beside the image, whose folder has a short name for such paths."""
        return self.path.with_suffix(".nbd")

    @property
    def drive_file(self) -> str:
        """As QEMU's -drive takes it: a comma ends a value there, and a doubled one stands for itself."""
        return (f"nbd+unix:///?socket={self.socket}" if self.volatile else str(self.path)).replace(",", ",,")


@dataclass(frozen=True)
class Attachment:
    """QEMU's names: the controller that all disks of a bus share ("" for none), the device, and where it is plugged in."""

    controller: str
    device: str
    plug: str = ""


# `{index}` counts the disks of one bus; AHCI has six ports, an xHCI takes the next one that is free.
ATTACHMENTS: dict[Bus, Attachment] = {
    Bus.SATA: Attachment(f"ich9-ahci,id={CONTROLLER_ID}-sata", "ide-hd", f",bus={CONTROLLER_ID}-sata.{{index}}"),
    Bus.USB: Attachment(f"qemu-xhci,id={CONTROLLER_ID}-usb", "usb-storage", f",bus={CONTROLLER_ID}-usb.0"),
    Bus.NVME: Attachment("", "nvme"),
    Bus.VIRTIO: Attachment("", "virtio-blk-{virtio}"),
    # Allwinner's SATA is a child of the machine, and its bus is the only one.
    Bus.ONBOARD_SATA: Attachment("", "ide-hd", ",bus=ide.{index}"),
}


def disks_argv(disks: Sequence[Disk], virtio: str) -> list[str]:
    """QEMU's arguments for all of a machine's disks; `virtio` is how its virtio devices are attached."""
    argv: list[str] = []
    for bus, attachment in ATTACHMENTS.items():
        of_bus = [disk for disk in disks if disk.bus is bus]
        if of_bus and attachment.controller:
            argv += ["-device", attachment.controller]
        for index, disk in enumerate(of_bus):
            drive = f"{CONTROLLER_ID}-{bus.name.lower()}-{index}"
            argv += ["-drive", f"if=none,id={drive},format=raw,cache=writeback,file={disk.drive_file}"]
            device, plug = attachment.device.format(virtio=virtio), attachment.plug.format(index=index)
            argv += ["-device", f"{device},drive={drive},serial={disk.serial}{plug}"]
    return argv
