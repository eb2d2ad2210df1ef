"""The rows of the 64-bit boards, and of the machines that QEMU and UEFI define. Pure data."""

from scripts.sdcard.board import Board, DebianFirmware, DeviceTree, FirmwarePiece, LoaderArgument, Menu, Table
from scripts.sdcard.rows_common import (
    BOARD_ARGUMENTS,
    PI_CONFIG_RULE,
    PI_FIRMWARE_REASON,
    PI_MENU_REASON,
    QEMU_SD_SIZE,
    RAMFS_ROOT,
    REBOOT_AFTER_PANIC,
    RISCV_ARGUMENTS,
)

RASPBERRYPI = Board(
    name="raspberrypi-arm64",
    title="Raspberry Pi 3, Raspberry Pi 4 and Compute Module 4",
    arch="arm64",
    aliases=("raspberrypi-3", "raspberrypi-4", "cm4"),
    source=DebianFirmware("raspi-firmware", "usr/lib/raspi-firmware", PI_FIRMWARE_REASON, "non-free-firmware"),
    firmware=(
        FirmwarePiece(
            "bootcode.bin", f"{PI_CONFIG_RULE} the boot ROM of the Pi 3; the others have it in flash", on_card="bootcode.bin"
        ),
        FirmwarePiece("start.elf", f"{PI_CONFIG_RULE} bootcode.bin (Pi 3)", on_card="start.elf"),
        FirmwarePiece("fixup.dat", f"{PI_CONFIG_RULE} start.elf (Pi 3): where the memory is split", on_card="fixup.dat"),
        FirmwarePiece("start4.elf", f"{PI_CONFIG_RULE} the Pi 4's and CM4's own flash", on_card="start4.elf"),
        FirmwarePiece("fixup4.dat", f"{PI_CONFIG_RULE} start4.elf: where the memory is split", on_card="fixup4.dat"),
    ),
    menu=Menu.PI_CONFIG,
    menu_reason=PI_MENU_REASON,
    trees=(
        DeviceTree("broadcom/bcm2837-rpi-3-b.dtb", "Raspberry Pi 3 Model B"),
        DeviceTree("broadcom/bcm2837-rpi-3-b-plus.dtb", "Raspberry Pi 3 Model B+"),
        DeviceTree("broadcom/bcm2837-rpi-3-a-plus.dtb", "Raspberry Pi 3 Model A+"),
        DeviceTree("broadcom/bcm2711-rpi-4-b.dtb", "Raspberry Pi 4 Model B"),
        DeviceTree("broadcom/bcm2711-rpi-400.dtb", "Raspberry Pi 400"),
        # Left to itself, firmware takes the Pi 4's upstream tree on a Compute Module 4 (raspberrypi/firmware issue 1660).
        DeviceTree("broadcom/bcm2711-rpi-cm4-io.dtb", "Compute Module 4 on its IO board", pi_filter="cm4"),
    ),
    arguments=BOARD_ARGUMENTS,
    power_of_two=QEMU_SD_SIZE,
    serial="pins 6 (ground), 8 and 10 of the 40-pin header, 3.3 V (mini UART), 115200 8N1",
    proof="inspection of the image; QEMU's raspi models have no boot ROM and are given the card's kernel",
    limits=(
        "a Compute Module 4 with eMMC cannot use a card at all: write the image to its eMMC with rpiboot",
        "kexec on a Pi needs the one CPU that the card asks for: the others wait in a spin table",
    ),
    page="raspberrypi.md",
)

JH7110 = Board(
    name="jh7110",
    title="StarFive VisionFive 2 and Milk-V Mars CM (JH7110)",
    arch="riscv64",
    aliases=("visionfive2", "mars-cm"),
    flash=DebianFirmware(
        "u-boot-starfive", "usr/lib/u-boot/starfive_visionfive2", "in SPI flash: the ROM's SD boot is deprecated"
    ),
    flash_file="u-boot.itb",
    menu_reason="U-Boot in the board's flash finds it on the first active partition",
    trees=(
        DeviceTree("starfive/jh7110-starfive-visionfive-2-v1.2a.dtb", "VisionFive 2 to revision 1.2A"),
        DeviceTree("starfive/jh7110-starfive-visionfive-2-v1.3b.dtb", "VisionFive 2 from revision 1.3B"),
        DeviceTree("starfive/jh7110-milkv-mars.dtb", "Milk-V Mars"),
    ),
    arguments=RISCV_ARGUMENTS,
    serial="pins 6 (ground), 8 and 10 of the 40-pin header, 3.3 V (UART0), 115200 8N1",
    proof="inspection of the image; QEMU's riscv64 virt machine boots the same loader",
    limits=(
        "Debian 13's kernel has no device tree for Mars CM: U-Boot then hands its own on (fdtdir finds none)",
        "the vendor's old U-Boot was not tried; put Debian's u-boot-starfive into the flash",
    ),
    page="jh7110.md",
)

# The virt boards: the firmware is QEMU's -bios, not on the card; QEMU makes the device tree and U-Boot passes it on.
VIRT_ARM64 = Board(
    name="virt-arm64",
    title="QEMU's generic arm64 board",
    arch="arm64",
    flash=DebianFirmware("u-boot-qemu", "usr/lib/u-boot/qemu_arm64", "given to QEMU with -bios"),
    flash_file="u-boot.bin",
    arguments=BOARD_ARGUMENTS,
    proof="QEMU virt, U-Boot to payload",
    page="qemu.md",
)
VIRT_ARMHF = Board(
    name="virt-armhf",
    title="QEMU's generic armhf board",
    arch="armhf",
    flash=DebianFirmware("u-boot-qemu", "usr/lib/u-boot/qemu_arm", "given to QEMU with -bios"),
    flash_file="u-boot.bin",
    arguments=BOARD_ARGUMENTS,
    proof="QEMU virt, U-Boot to payload",
    page="qemu.md",
)
VIRT_RISCV64 = Board(
    name="virt-riscv64",
    title="QEMU's generic riscv64 board",
    arch="riscv64",
    flash=DebianFirmware("u-boot-qemu", "usr/lib/u-boot/qemu-riscv64_smode", "given to QEMU with -kernel, behind OpenSBI"),
    flash_file="u-boot.bin",
    arguments=RISCV_ARGUMENTS,
    proof="QEMU virt, OpenSBI and U-Boot to payload",
    page="qemu.md",
)

EFI_FOLDER = "usr/lib/systemd/boot/efi"
EFI_REASON = "small, free, and reads plain text entries"
EFI_PATH_REASON = "the removable media path, tried without any entry in the firmware's variables (UEFI specification 3.5.1.1)"

UEFI_ARM64 = Board(
    name="uefi-arm64",
    title="any arm64 machine with UEFI",
    arch="arm64",
    source=DebianFirmware("systemd-boot-efi", EFI_FOLDER, EFI_REASON),
    firmware=(FirmwarePiece("systemd-bootaa64.efi", EFI_PATH_REASON, on_card="EFI/BOOT/BOOTAA64.EFI", rule="efi-aa64"),),
    menu=Menu.SYSTEMD_BOOT,
    table=Table.GPT,
    arguments=BOARD_ARGUMENTS,
    serial="what the firmware's tables (SPCR) or device tree name",
    proof="QEMU virt with AAVMF, firmware to payload, with ACPI and with a device tree",
    limits=("with Secure Boot switched on the kernel is locked down and arm64 has no kexec then: switch it off",),
    page="uefi.md",
)
UEFI_AMD64 = Board(
    name="uefi-amd64",
    title="any PC with UEFI, from a card or a USB stick",
    arch="amd64",
    source=DebianFirmware("systemd-boot-efi", EFI_FOLDER, EFI_REASON),
    firmware=(FirmwarePiece("systemd-bootx64.efi", EFI_PATH_REASON, on_card="EFI/BOOT/BOOTX64.EFI", rule="efi-x64"),),
    menu=Menu.SYSTEMD_BOOT,
    table=Table.GPT,
    arguments=(
        LoaderArgument("console=ttyS0,115200", "kernel messages on the first serial port too, where there is one"),
        LoaderArgument("console=tty0", "last, so that the agent speaks on the screen: most PCs have no serial port"),
        REBOOT_AFTER_PANIC,
        RAMFS_ROOT,
    ),
    serial="the screen; with --argument console=ttyS0,115200 the first serial port",
    proof="QEMU q35 with OVMF, firmware to payload",
    limits=("systemd-boot from Debian 12 is not signed: switch Secure Boot off",),
    page="uefi.md",
)
