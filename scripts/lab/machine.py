"""What a simulated machine's row is made of. Pure data; the rows are in machines.py and machines_boards.py."""

from dataclasses import dataclass, replace
from enum import Enum


class Start(Enum):
    """Who starts the loader."""

    KERNEL = "QEMU loads kernel and initramfs itself, as PXE firmware would: no card"
    BIOS = "U-Boot, given to QEMU with -bios, reads the card"
    OPENSBI = "OpenSBI (-bios) starts U-Boot (-kernel), which reads the card"
    UEFI = "UEFI in two pflash files reads the card"
    BOOT_ROM = "the SoC's boot ROM reads the card's first stage, as on the board"
    FLASHED = "U-Boot, which the board has in flash and QEMU gets with -kernel, reads the card"
    CARD_KERNEL = "QEMU gets kernel, initramfs and device tree from the card's own files: no firmware runs"


class Named(Enum):
    """What tells one simulated machine from another of its kind."""

    DMI = "serial number and UUID in SMBIOS"
    TREE = "a serial number in the device tree that the firmware passes on"
    SID = "the number fused into an Allwinner chip, of which U-Boot makes serial number and MAC"
    MAC = "its MAC only"
    DISK = "the serial number of its SATA disk"


class Card(Enum):
    """How the card is plugged in."""

    VIRTIO = "as a virtio disk"
    SLOT = "in the slot that QEMU's model of the board fills itself"
    SD_DEVICE = "as a device on the first SD host: the model has no slot"


class Network(Enum):
    """Where its Ethernet is."""

    VIRTIO = "a virtio device"
    ONBOARD = "the controller that the board has"
    USB = "a USB adapter: QEMU simulates no Ethernet of this board"
    NONE = "none that QEMU simulates"


class VerdictBy(Enum):
    """How the second kernel's user space says that it is up: see verdict.py, page_verdict.py, and `handed_over` in chain.py."""

    PORT = "a virtio-serial port"
    PAGE = "its own /status.json, fetched through QEMU's user-mode network"
    NONE = "not at all: the payload has no network that QEMU simulates; its first program on the console is the end"


@dataclass(frozen=True)
class Machine:
    """One kind of machine that QEMU simulates. `arch` is Debian's name; `console` is what Linux calls its serial port.

    `virtio` is how its virtio devices are attached: "pci", or "device" for virtio-mmio; empty if it has none. `cpu` is empty
    where the machine has its own. `cpus` are those that it has, `payload_cpus` those that the payload sees where these are
    fewer. `board` is the row of the card it starts from, `tree` the device tree that it gets where no firmware chooses one,
    `tree_changes` what fdtput changes in that. `firmware` are files of installed packages, in the order in which `start` needs
    them. `serial_index` is the number of the UART which is the console. `least_qemu` is the version that knows the board
    (None: Debian 12's 7.2 does). `notes` say to a person what of the chain is not simulated.
    """

    arch: str
    title: str
    qemu: str
    machine: str
    cpus: int
    memory_mib: int
    console: str
    deadline_s: float
    start: Start
    cpu: str = ""
    virtio: str = ""
    named: Named = Named.TREE
    network: Network = Network.VIRTIO
    verdict: VerdictBy = VerdictBy.PORT
    firmware: tuple[str, ...] = ()
    board: str = ""
    tree: str = ""
    tree_changes: tuple[tuple[str, ...], ...] = ()
    least_qemu: tuple[int, int] | None = None
    card: Card = Card.VIRTIO
    payload_cpus: int = 0
    serial_index: int = 0
    loader_arguments: tuple[str, ...] = ()
    payload_arguments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def expected_cpus(self) -> int:
        """How many CPUs the payload runs on."""
        return self.payload_cpus or self.cpus


def started_directly(machine: Machine, arguments: tuple[str, ...]) -> Machine:
    """The same machine without firmware and card: QEMU loads the loader, with these arguments.

    The device tree is then QEMU's own, without a serial number.
    """
    named = Named.MAC if machine.named is Named.TREE else machine.named
    return replace(machine, start=Start.KERNEL, named=named, firmware=(), board="", loader_arguments=arguments)
