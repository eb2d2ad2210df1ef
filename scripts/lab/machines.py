"""The simulated machines as rows, with a reason beside each odd value. Pure data: adding a machine is adding a row.

Here are the generic ones and the table of all; the boards with a chip of their own are in machines_boards.py.
"""

from scripts.lab.machine import Machine, Named, Start
from scripts.lab.machines_boards import BOARD_MACHINES

MIB = 1 << 20

PC = Machine(
    arch="amd64",
    title="PC (q35)",
    qemu="qemu-system-x86_64",
    machine="q35",
    # rdrand: without it the kernel's random numbers are ready seconds later, and the agent's nonce waits for them.
    cpu="qemu64,+rdrand",
    cpus=2,
    memory_mib=1024,
    console="ttyS0",
    deadline_s=300.0,
    start=Start.KERNEL,
    virtio="pci",
    named=Named.DMI,
    loader_arguments=("console=ttyS0", "panic=10"),
    # earlycon: a second kernel that QEMU's emulation kills early has said so on the console (see verdict.py).
    payload_arguments=("console=ttyS0", "earlycon=uart8250,io,0x3f8", "panic=10"),
)

VIRT_ARM64 = Machine(
    arch="arm64",
    title="generic arm64 board (QEMU virt, Cortex-A57)",
    qemu="qemu-system-aarch64",
    machine="virt",
    cpu="cortex-a57",
    cpus=2,
    memory_mib=1024,
    console="ttyAMA0",
    deadline_s=400.0,
    start=Start.BIOS,
    # U-Boot finds a card on virtio-mmio without scanning PCI, and most boards have no PCI either.
    virtio="device",
    firmware=("/usr/lib/u-boot/qemu_arm64/u-boot.bin",),
    board="virt-arm64",
    payload_arguments=("console=ttyAMA0", "panic=10"),
)

VIRT_ARMHF = Machine(
    arch="armhf",
    title="generic armhf board (QEMU virt, Cortex-A15)",
    qemu="qemu-system-arm",
    # highmem=off: with it on, the PCI windows lie above 4 GiB, where a kernel without LPAE cannot reach them.
    machine="virt,highmem=off",
    cpu="cortex-a15",
    cpus=2,
    memory_mib=1024,
    console="ttyAMA0",
    deadline_s=600.0,
    start=Start.BIOS,
    virtio="device",
    firmware=("/usr/lib/u-boot/qemu_arm/u-boot.bin",),
    board="virt-armhf",
    payload_arguments=("console=ttyAMA0", "panic=10"),
)

VIRT_RISCV64 = Machine(
    arch="riscv64",
    title="generic riscv64 board (QEMU virt)",
    qemu="qemu-system-riscv64",
    machine="virt",
    cpu="rv64",
    cpus=2,
    memory_mib=1024,
    console="ttyS0",
    deadline_s=600.0,
    start=Start.OPENSBI,
    virtio="device",
    firmware=("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin", "/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"),
    board="virt-riscv64",
    payload_arguments=("console=ttyS0", "panic=10"),
)

UEFI_ARM64 = Machine(
    arch="arm64",
    title="generic arm64 machine with UEFI and ACPI (QEMU virt, Cortex-A57)",
    qemu="qemu-system-aarch64",
    machine="virt",
    cpu="cortex-a57",
    cpus=2,
    memory_mib=1024,
    console="ttyAMA0",
    deadline_s=500.0,
    start=Start.UEFI,
    virtio="pci",
    named=Named.DMI,
    firmware=("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    board="uefi-arm64",
    payload_arguments=("console=ttyAMA0", "panic=10"),
)

UEFI_AMD64 = Machine(
    arch="amd64",
    title="PC with UEFI (q35)",
    qemu="qemu-system-x86_64",
    machine="q35",
    cpu="qemu64,+rdrand",
    cpus=2,
    memory_mib=1024,
    console="ttyS0",
    deadline_s=400.0,
    start=Start.UEFI,
    virtio="pci",
    named=Named.DMI,
    firmware=("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    board="uefi-amd64",
    # The card's last console is the screen, which the simulated PC does not have.
    loader_arguments=("console=ttyS0,115200",),
    payload_arguments=PC.payload_arguments,
)

# By architecture: the machine on which most is tested.
MACHINES: dict[str, Machine] = {"amd64": PC, "arm64": VIRT_ARM64, "armhf": VIRT_ARMHF, "riscv64": VIRT_RISCV64}
# By board: the machine that starts that board's card.
BY_BOARD: dict[str, Machine] = {
    "virt-arm64": VIRT_ARM64,
    "virt-armhf": VIRT_ARMHF,
    "virt-riscv64": VIRT_RISCV64,
    "uefi-arm64": UEFI_ARM64,
    "uefi-amd64": UEFI_AMD64,
    **BOARD_MACHINES,
}
NOT_SIMULATED: dict[str, str] = {
    "pandaboard": "QEMU models no OMAP4; the loader of its card runs on vexpress-a15 in the tests, as this board",
    "beaglebone-black": "QEMU models no AM335x",
    "visionfive2": "QEMU models no JH7110; virt-riscv64 runs the same loader",
    "mars-cm": "QEMU models no JH7110; virt-riscv64 runs the same loader",
    "cm4": "QEMU models no Compute Module 4; raspberrypi-4 has the same chip and card",
}
