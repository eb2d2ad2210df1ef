"""The simulated machines as rows, with a reason beside each odd value. Pure data: adding a machine is adding a row."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Machine:
    """One kind of machine that QEMU simulates. `arch` is Debian's name; `console` is what Linux calls the first serial port.

    `virtio` is how its virtio devices are attached: "pci", or "device" for virtio-mmio. `firmware` is the U-Boot that starts
    the card image of board `board`; both are empty where kernel and initramfs are handed to QEMU directly.
    """

    arch: str
    title: str
    qemu: str
    machine: str
    cpu: str
    cpus: int
    memory_mib: int
    console: str
    virtio: str
    firmware: str = ""
    board: str = ""
    loader_arguments: tuple[str, ...] = ()
    payload_arguments: tuple[str, ...] = ()


MACHINES: dict[str, Machine] = {
    "amd64": Machine(
        arch="amd64",
        title="PC (q35)",
        qemu="qemu-system-x86_64",
        machine="q35",
        # rdrand: without it the kernel's random numbers are ready seconds later, and the agent's nonce waits for them.
        cpu="qemu64,+rdrand",
        cpus=2,
        memory_mib=1024,
        console="ttyS0",
        virtio="pci",
        loader_arguments=("console=ttyS0", "panic=10"),
        # earlycon: a second kernel that QEMU's emulation kills early has said so on the console (see verdict.py).
        payload_arguments=("console=ttyS0", "earlycon=uart8250,io,0x3f8", "panic=10"),
    ),
    "arm64": Machine(
        arch="arm64",
        title="generic arm64 board (QEMU virt, Cortex-A57)",
        qemu="qemu-system-aarch64",
        machine="virt",
        cpu="cortex-a57",
        cpus=2,
        memory_mib=1024,
        console="ttyAMA0",
        # U-Boot finds a card on virtio-mmio without scanning PCI, and most boards have no PCI either.
        virtio="device",
        firmware="/usr/lib/u-boot/qemu_arm64/u-boot.bin",
        board="virt-arm64",
        payload_arguments=("console=ttyAMA0", "panic=10"),
    ),
    "armhf": Machine(
        arch="armhf",
        title="generic armhf board (QEMU virt, Cortex-A15)",
        qemu="qemu-system-arm",
        # highmem=off: with it on, the PCI windows lie above 4 GiB, where a kernel without LPAE cannot reach them.
        machine="virt,highmem=off",
        cpu="cortex-a15",
        cpus=2,
        memory_mib=1024,
        console="ttyAMA0",
        virtio="device",
        firmware="/usr/lib/u-boot/qemu_arm/u-boot.bin",
        board="virt-armhf",
        payload_arguments=("console=ttyAMA0", "panic=10"),
    ),
}
