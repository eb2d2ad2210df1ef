"""The simulated boards with a chip of their own, as rows, with a reason beside each odd value. Pure data."""

from scripts.lab.machine import Card, Machine, Named, Network, Start, VerdictBy

# hw/misc/bcm2835_powermgt.c resets the machine at once where the chip would count down.
NO_PI_WATCHDOG = ("bootpilot.watchdog=0",)
GPU_FIRMWARE = "the GPU's firmware, which reads the card on the board, is not simulated"

# hw/usb/hcd-dwc2.c sets "connected" only when a device is plugged in. A second kernel resets the controller and finds its port
# "Not connected"; a device that is plugged in again then gives an interrupt that nobody handles, and in QEMU 10 an assertion.
PI_USB_ONCE = "QEMU's USB host, the only network of this model, finds its devices only once: the payload starts without network"

PI_4_HDMI = (
    *("clock@7ef00000", "interrupt-controller@7ef00100"),
    *("hdmi@7ef00700", "i2c@7ef04500", "hdmi@7ef05700", "i2c@7ef09500"),
)

ORANGEPI_PC = Machine(
    arch="armhf",
    title="Orange Pi PC (Allwinner H3)",
    qemu="qemu-system-arm",
    machine="orangepi-pc",
    # The machine refuses any other number.
    cpus=4,
    memory_mib=1024,
    console="ttyS0",
    deadline_s=700.0,
    start=Start.BOOT_ROM,
    named=Named.SID,
    network=Network.ONBOARD,
    verdict=VerdictBy.PAGE,
    board="orangepi-pc",
    card=Card.SLOT,
    payload_arguments=("console=ttyS0,115200", "panic=10"),
)

CUBIEBOARD = Machine(
    arch="armhf",
    title="Cubieboard (Allwinner A10)",
    qemu="qemu-system-arm",
    machine="cubieboard",
    cpus=1,
    memory_mib=1024,
    console="ttyS0",
    deadline_s=600.0,
    start=Start.BOOT_ROM,
    # QEMU models no SID of this chip, and its MAC is random: of the board itself nothing has a number.
    named=Named.DISK,
    network=Network.ONBOARD,
    verdict=VerdictBy.PAGE,
    board="cubieboard",
    card=Card.SLOT,
    # QEMU 7.2 has no boot ROM for this chip.
    least_qemu=(10, 0),
    payload_arguments=("console=ttyS0,115200", "panic=10"),
)

BANANAPI_M2_ULTRA = Machine(
    arch="armhf",
    title="Banana Pi M2 Ultra (Allwinner R40)",
    qemu="qemu-system-arm",
    machine="bpim2u",
    cpus=4,
    # QEMU models nothing of this chip that starts the others ("CPU1: failed to come online").
    payload_cpus=1,
    memory_mib=1024,
    console="ttyS0",
    deadline_s=700.0,
    start=Start.BOOT_ROM,
    named=Named.SID,
    network=Network.ONBOARD,
    verdict=VerdictBy.PAGE,
    board="bananapi-m2-ultra",
    card=Card.SLOT,
    # QEMU 7.2 does not know the board.
    least_qemu=(10, 0),
    payload_arguments=("console=ttyS0,115200", "panic=10"),
)

VEXPRESS_A9 = Machine(
    arch="armhf",
    title="ARM Versatile Express (Cortex-A9)",
    qemu="qemu-system-arm",
    machine="vexpress-a9",
    cpus=4,
    memory_mib=1024,
    console="ttyAMA0",
    # The simulated LAN9118 moves 0.1 MB/s: two minutes for kernel and initrd.
    deadline_s=1200.0,
    start=Start.FLASHED,
    named=Named.MAC,
    network=Network.ONBOARD,
    verdict=VerdictBy.PAGE,
    board="vexpress-a9",
    card=Card.SLOT,
    payload_arguments=("console=ttyAMA0", "panic=10"),
)

VEXPRESS_A15 = Machine(
    arch="armhf",
    title="ARM Versatile Express (Cortex-A15)",
    qemu="qemu-system-arm",
    machine="vexpress-a15",
    cpus=2,
    memory_mib=1024,
    console="ttyAMA0",
    deadline_s=900.0,
    start=Start.CARD_KERNEL,
    # QEMU adds virtio-mmio to the device tree that it is given.
    virtio="device",
    board="vexpress-a15",
    card=Card.SLOT,
    tree="vexpress-v2p-ca15-tc1.dtb",
    payload_arguments=("console=ttyAMA0", "panic=10"),
)

SABRELITE = Machine(
    arch="armhf",
    title="SABRE Lite (i.MX6Q), the nearest relative of the i.MX53 Quick Start Board",
    qemu="qemu-system-arm",
    machine="sabrelite",
    cpus=4,
    memory_mib=1024,
    console="ttymxc1",
    deadline_s=700.0,
    start=Start.CARD_KERNEL,
    network=Network.ONBOARD,
    verdict=VerdictBy.PAGE,
    board="imx53-qsb",
    tree="imx6q-sabrelite.dtb",
    # QEMU puts a card on the first of four SD hosts; this board's slots are on the third and fourth.
    card=Card.SD_DEVICE,
    tree_changes=(("-t", "s", "/soc/bus@2100000/mmc@2190000", "status", "okay"),),
    serial_index=1,
    payload_arguments=("console=ttymxc1,115200", "panic=10"),
    notes=("QEMU models no i.MX53: its card's kernel and initramfs run on an i.MX6 with that board's device tree",),
)

RASPBERRYPI_2 = Machine(
    arch="armhf",
    title="Raspberry Pi 2 (BCM2836)",
    qemu="qemu-system-arm",
    machine="raspi2b",
    cpus=4,
    memory_mib=1024,
    console="ttyAMA0",
    # 8 MB over simulated USB, at 0.05 MB/s.
    deadline_s=1200.0,
    start=Start.CARD_KERNEL,
    network=Network.USB,
    verdict=VerdictBy.NONE,
    board="raspberrypi-2",
    card=Card.SLOT,
    tree="bcm2836-rpi-2-b.dtb",
    loader_arguments=NO_PI_WATCHDOG,
    payload_arguments=("console=ttyAMA0,115200", "panic=10"),
    notes=(GPU_FIRMWARE, PI_USB_ONCE),
)

RASPBERRYPI_3 = Machine(
    arch="arm64",
    title="Raspberry Pi 3 (BCM2837)",
    qemu="qemu-system-aarch64",
    machine="raspi3b",
    cpus=4,
    memory_mib=1024,
    console="ttyS1",
    # 36 MB over simulated USB, at 0.13 MB/s.
    deadline_s=1200.0,
    start=Start.CARD_KERNEL,
    network=Network.USB,
    verdict=VerdictBy.NONE,
    board="raspberrypi-3",
    card=Card.SLOT,
    tree="bcm2837-rpi-3-b.dtb",
    loader_arguments=NO_PI_WATCHDOG,
    # The console that the device tree names is the mini UART, QEMU's second.
    serial_index=1,
    payload_arguments=("console=ttyS1,115200", "panic=10"),
    notes=(GPU_FIRMWARE, PI_USB_ONCE),
)

RASPBERRYPI_4 = Machine(
    arch="arm64",
    title="Raspberry Pi 4 (BCM2711)",
    qemu="qemu-system-aarch64",
    machine="raspi4b",
    cpus=4,
    memory_mib=2048,
    console="ttyAMA0",
    deadline_s=1200.0,
    start=Start.CARD_KERNEL,
    network=Network.USB,
    verdict=VerdictBy.NONE,
    board="raspberrypi-4",
    card=Card.SLOT,
    tree="bcm2711-rpi-4-b.dtb",
    tree_changes=(
        # The kernel dies of touching the HDMI block, which the model does not have.
        *(("-t", "s", f"/soc/{node}", "status", "disabled") for node in PI_4_HDMI),
        # As dtoverlay=dwc2,dr_mode=host of config.txt: of this board's network only this USB host is simulated.
        ("-t", "s", "/soc/usb@7e980000", "dr_mode", "host"),
        # The model's card is on the SD host that on the board has the wireless chip (hw/gpio/bcm2838_gpio.c). Its power switch
        # hangs on a GPIO of the GPU's firmware, which is not simulated, so the driver would wait for ever.
        ("-d", "/soc/mmc@7e300000", "mmc-pwrseq"),
    ),
    # The mini UART of the model, which the device tree names as the console, hangs the kernel in an interrupt without end.
    loader_arguments=("console=ttyAMA0,115200", *NO_PI_WATCHDOG),
    # QEMU 7.2 does not know the board.
    least_qemu=(10, 0),
    payload_arguments=("console=ttyAMA0,115200", "panic=10"),
    notes=(GPU_FIRMWARE, PI_USB_ONCE),
)

BOARD_MACHINES: dict[str, Machine] = {
    "orangepi-pc": ORANGEPI_PC,
    "cubieboard": CUBIEBOARD,
    "bananapi-m2-ultra": BANANAPI_M2_ULTRA,
    "vexpress-a9": VEXPRESS_A9,
    "vexpress-a15": VEXPRESS_A15,
    "imx53-qsb": SABRELITE,
    "raspberrypi-2": RASPBERRYPI_2,
    "raspberrypi-3": RASPBERRYPI_3,
    "raspberrypi-4": RASPBERRYPI_4,
}
