"""The rows of the 32-bit ARM boards. Pure data."""

from scripts.sdcard.board import (
    KIB,
    SECTOR_BYTES,
    Board,
    DebianFirmware,
    DeviceTree,
    FirmwarePiece,
    Menu,
    ReservedArea,
    ScriptAddresses,
    UBootBuild,
    UBootSetting,
)
from scripts.sdcard.rows_common import BOARD_ARGUMENTS, PI_CONFIG_RULE, PI_FIRMWARE_REASON, PI_MENU_REASON, QEMU_SD_SIZE

OMAP_ROM = (
    "the boot ROM looks for a table of contents at sectors 0, 256, 512 and 768 (TI, AM335x manual 26.1.7.5.5); 0 is the MBR. "
    "Also the first file of the active FAT32, where the ROM looks when it finds none"
)
OMAP_SPL = "the SPL reads sector 768 (CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR=0x300), and u-boot.img in the first FAT partition"


def _omap_firmware() -> tuple[FirmwarePiece, ...]:
    return (
        FirmwarePiece("MLO", OMAP_ROM, 256 * SECTOR_BYTES, on_card="MLO", rule="omap"),
        FirmwarePiece("u-boot.img", OMAP_SPL, 768 * SECTOR_BYTES, on_card="u-boot.img"),
    )


def _sunxi_firmware() -> tuple[FirmwarePiece, ...]:
    reason = "the boot ROM reads an eGON.BT0 header at 8 KiB (linux-sunxi.org, BROM; U-Boot's doc/board/allwinner/sunxi.rst)"
    return (FirmwarePiece("u-boot-sunxi-with-spl.bin", reason, 8 * KIB, rule="sunxi"),)


ALLWINNER_FDT = "named, because Debian's U-Boot and the kernel do not call every board's device tree the same"

PANDABOARD = Board(
    name="pandaboard",
    title="PandaBoard (OMAP4430) and PandaBoard ES (OMAP4460)",
    arch="armhf",
    aliases=("pandaboard-es",),
    source=DebianFirmware("u-boot-omap", "usr/lib/u-boot/omap4_panda", "bookworm is the last Debian with U-Boot for it"),
    firmware=_omap_firmware(),
    menu_reason="U-Boot runs boot.scr and uEnv.txt before it, so the card must have neither (envboot, ti_omap4_common.h)",
    trees=(
        DeviceTree("omap4-panda.dtb", "PandaBoard, to revision A3"),
        DeviceTree("omap4-panda-a4.dtb", "PandaBoard A4 and later"),
        DeviceTree("omap4-panda-es.dtb", "PandaBoard ES"),
    ),
    arguments=BOARD_ARGUMENTS,
    serial="RS-232 on the DB9 connector (UART3), 115200 8N1",
    proof="inspection of the image; no simulator models OMAP4",
    limits=(
        "Ethernet is behind USB (LAN9514): its MAC comes from U-Boot through the device tree, so a plan must keep that tree",
    ),
    page="omap.md",
)

BEAGLEBONE_BLACK = Board(
    name="beaglebone-black",
    title="BeagleBone Black and Green (AM335x)",
    arch="armhf",
    aliases=("beaglebone-green",),
    source=DebianFirmware("u-boot-omap", "usr/lib/u-boot/am335x_boneblack", "the build that Debian's own installer uses"),
    firmware=_omap_firmware(),
    trees=(
        DeviceTree("am335x-boneblack.dtb", "BeagleBone Black"),
        DeviceTree("am335x-boneblack-wireless.dtb", "BeagleBone Black Wireless"),
        DeviceTree("am335x-bonegreen.dtb", "BeagleBone Green"),
    ),
    arguments=BOARD_ARGUMENTS,
    serial="six-pin header J1, 3.3 V (UART0), 115200 8N1",
    proof="inspection of the image; no simulator models AM335x",
    limits=("it starts from its eMMC if there is a loader on it: hold S2 at power-on, or erase the eMMC's first MiB once",),
    page="omap.md",
)

IMX53_QSB = Board(
    name="imx53-qsb",
    title="i.MX53 Quick Start Board (QSB) and its revision QSRB",
    arch="armhf",
    aliases=("imx53-qsrb", "mx53loco"),
    source=DebianFirmware("u-boot-imx", "usr/lib/u-boot/mx53loco", "bookworm's, as for the other ARM boards"),
    firmware=(
        FirmwarePiece(
            "u-boot-dtb.imx",
            "the boot ROM reads an image vector table at 1 KiB (i.MX53 reference manual, chapter 7, image vector table offset)",
            1 * KIB,
            rule="imx",
        ),
    ),
    reserved=(
        ReservedArea(
            "U-Boot's environment", 768 * KIB, 8 * KIB, "CONFIG_ENV_OFFSET=0xC0000, CONFIG_ENV_SIZE=0x2000: saveenv writes here"
        ),
    ),
    menu=Menu.BOOT_SCRIPT,
    menu_reason="mx53loco has neither CONFIG_CMD_SYSBOOT nor distro_bootcmd: it runs boot.scr of mmc 0:1, and nothing else",
    script=ScriptAddresses(
        0x80000000,
        0x81F00000,
        0x82000000,
        "the first bank of memory ends at 0x90000000; a kernel unpacks itself to 0x70208000 and must not meet them",
    ),
    trees=(
        DeviceTree("imx53-qsb.dtb", "QSB (PMIC Dialog DA9053)"),
        DeviceTree("imx53-qsrb.dtb", "QSRB (PMIC Freescale MC34708)", switch="qsrb"),
    ),
    fdt="imx53-qsb.dtb",
    fdt_reason="mx53loco sets no fdt_file and cannot tell QSB from QSRB (no CONFIG_CMD_I2C): a file `qsrb` switches",
    arguments=BOARD_ARGUMENTS,
    serial="DB9 connector (UART1), 115200 8N1",
    proof="inspection of the image; no simulator models i.MX53, the nearest is i.MX6 (sabrelite)",
    limits=("U-Boot cannot start from the SATA disk; Linux uses it",),
    page="imx53.md",
)

VEXPRESS_A9 = Board(
    name="vexpress-a9",
    title="ARM Versatile Express with Cortex-A9 (QEMU vexpress-a9)",
    arch="armhf",
    flash=UBootBuild(
        "vexpress_ca9x4_defconfig",
        "Debian builds no U-Boot for it; on the board it is in NOR flash",
        settings=(
            UBootSetting("CONFIG_USE_PREBOOT=y", "for the next line"),
            UBootSetting(
                'CONFIG_PREBOOT="setenv kernel_addr_r 0x62000000; setenv pxefile_addr_r 0x63000000; '
                'setenv scriptaddr 0x63000000; setenv fdt_addr_r 0x63800000; setenv ramdisk_addr_r 0x64000000"',
                "vexpress_common.h has no addresses for menu and initramfs, so extlinux.conf is refused; the kernel unpacks "
                "itself to 0x60208000 and must not meet them",
            ),
        ),
        added=(("vexpress_park.S", "board/armltd/vexpress"),),
    ),
    flash_file="u-boot",
    trees=(DeviceTree("vexpress-v2p-ca9.dtb", "CoreTile Express A9x4"),),
    fdt="vexpress-v2p-ca9.dtb",
    fdt_reason="U-Boot's own device tree for it has no more than U-Boot needs",
    console="ttyAMA0",  # its device tree has no stdout-path: without this word the kernel is silent
    arguments=BOARD_ARGUMENTS,
    power_of_two=QEMU_SD_SIZE,
    serial="first UART, 38400 8N1 in U-Boot (CONFIG_BAUDRATE); QEMU ignores the speed",
    proof="QEMU, U-Boot to payload",
    limits=("QEMU's LAN9118 moves about 0.1 MB/s",),
    page="qemu.md",
)

VEXPRESS_A15 = Board(
    name="vexpress-a15",
    title="ARM Versatile Express with Cortex-A15 (QEMU vexpress-a15)",
    arch="armhf",
    trees=(DeviceTree("vexpress-v2p-ca15-tc1.dtb", "CoreTile Express A15x2"),),
    fdt="vexpress-v2p-ca15-tc1.dtb",
    fdt_reason="there is no U-Boot to choose one",
    console="ttyAMA0",  # its device tree has no stdout-path either
    arguments=BOARD_ARGUMENTS,
    power_of_two=QEMU_SD_SIZE,
    serial="first UART",
    proof="QEMU, which is given the kernel, initramfs and device tree of the card",
    limits=("U-Boot 2023.01 supports no Cortex-A15 tile any more: QEMU starts the card's kernel itself (-kernel)",),
    page="qemu.md",
)

ORANGEPI_PC = Board(
    name="orangepi-pc",
    title="Orange Pi PC (Allwinner H3)",
    arch="armhf",
    source=UBootBuild(
        "orangepi_pc_defconfig", "Debian ships orangepi_plus and orangepi_zero; other memory and regulator set-up"
    ),
    firmware=_sunxi_firmware(),
    trees=(DeviceTree("sun8i-h3-orangepi-pc.dtb", "Orange Pi PC"),),
    fdt="sun8i-h3-orangepi-pc.dtb",
    fdt_reason=ALLWINNER_FDT,
    arguments=BOARD_ARGUMENTS,
    power_of_two=QEMU_SD_SIZE,
    serial="three-pin header beside the Ethernet socket, 3.3 V (UART0), 115200 8N1",
    proof="QEMU orangepi-pc, boot ROM to payload",
    page="allwinner.md",
)

CUBIEBOARD = Board(
    name="cubieboard",
    title="Cubieboard (Allwinner A10)",
    arch="armhf",
    source=DebianFirmware("u-boot-sunxi", "usr/lib/u-boot/Cubieboard", "bookworm's, as for the other ARM boards"),
    firmware=_sunxi_firmware(),
    trees=(DeviceTree("sun4i-a10-cubieboard.dtb", "Cubieboard"),),
    fdt="sun4i-a10-cubieboard.dtb",
    fdt_reason=ALLWINNER_FDT,
    arguments=BOARD_ARGUMENTS,
    power_of_two=QEMU_SD_SIZE,
    serial="four-pin header, 3.3 V (UART0), 115200 8N1",
    proof="QEMU 10 cubieboard, boot ROM to payload; QEMU 7.2 has no boot ROM for it",
    page="allwinner.md",
)

BANANAPI_M2_ULTRA = Board(
    name="bananapi-m2-ultra",
    title="Banana Pi M2 Ultra (Allwinner R40)",
    arch="armhf",
    source=DebianFirmware("u-boot-sunxi", "usr/lib/u-boot/Bananapi_M2_Ultra", "bookworm's, as for the other ARM boards"),
    firmware=_sunxi_firmware(),
    trees=(DeviceTree("sun8i-r40-bananapi-m2-ultra.dtb", "Banana Pi M2 Ultra"),),
    fdt="sun8i-r40-bananapi-m2-ultra.dtb",
    fdt_reason=ALLWINNER_FDT,
    arguments=BOARD_ARGUMENTS,
    power_of_two=QEMU_SD_SIZE,
    serial="three-pin header, 3.3 V (UART0), 115200 8N1",
    proof="QEMU 10 bpim2u, boot ROM to payload",
    page="allwinner.md",
)

RASPBERRYPI_2 = Board(
    name="raspberrypi-2",
    title="Raspberry Pi 2 Model B (BCM2836)",
    arch="armhf",
    source=DebianFirmware("raspi-firmware", "usr/lib/raspi-firmware", PI_FIRMWARE_REASON, "non-free-firmware"),
    firmware=(
        FirmwarePiece("bootcode.bin", f"{PI_CONFIG_RULE} the boot ROM", on_card="bootcode.bin"),
        FirmwarePiece("start.elf", f"{PI_CONFIG_RULE} bootcode.bin", on_card="start.elf"),
        FirmwarePiece("fixup.dat", f"{PI_CONFIG_RULE} start.elf: where the memory is split", on_card="fixup.dat"),
    ),
    menu=Menu.PI_CONFIG,
    menu_reason=PI_MENU_REASON,
    trees=(DeviceTree("bcm2836-rpi-2-b.dtb", "Raspberry Pi 2 Model B, to revision 1.1"),),
    arguments=BOARD_ARGUMENTS,
    power_of_two=QEMU_SD_SIZE,
    serial="pins 6 (ground), 8 and 10 of the 40-pin header, 3.3 V, 115200 8N1",
    proof="inspection of the image; QEMU's raspi2b has no boot ROM and is given the card's kernel",
    limits=("revision 1.2 has the chip of the Pi 3 and was not tried",),
    page="raspberrypi.md",
)
