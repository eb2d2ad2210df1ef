"""What a row of the table of boards is made of: firmware and where it lies, boot menus, arguments. Pure data.

Every odd value carries a reason. The rows themselves are in boards.py.
"""

from dataclasses import dataclass
from enum import Enum

KIB = 1 << 10
MIB = 1 << 20
SECTOR_BYTES = 512

# Debian's am335x U-Boot, written raw, ends at 1.1 MiB (boneblack) and 1.74 MiB (evm) and would overwrite a partition at the
# usual 1 MiB. 4 MiB is also the erase block of many cards (linaro-image-tools aligned to it).
PARTITION_START_BYTES = 4 * MIB


class Menu(Enum):
    """What tells the firmware which files to start."""

    EXTLINUX = "extlinux.conf, read by U-Boot"
    BOOT_SCRIPT = "boot.scr, run by U-Boot"
    PI_CONFIG = "config.txt and cmdline.txt, read by Raspberry Pi firmware"
    SYSTEMD_BOOT = "loader entries, read by systemd-boot"


class Table(Enum):
    """The kind of partition table; the value is sfdisk's name for it."""

    MBR = "dos"
    GPT = "gpt"


@dataclass(frozen=True)
class DebianFirmware:
    """Firmware out of a Debian package: the files are in `folder` inside it. `component` is the archive's part."""

    package: str
    folder: str
    reason: str
    component: str = "main"


@dataclass(frozen=True)
class UBootSetting:
    """One line of U-Boot's configuration that differs from the board's defconfig."""

    line: str
    reason: str


@dataclass(frozen=True)
class UBootBuild:
    """Firmware that Debian has as source only: its U-Boot, built for one `config` with Debian's cross compiler.

    `added` are (file of this project's folder u-boot, folder in U-Boot's source) that are compiled with it.
    """

    config: str
    reason: str
    settings: tuple[UBootSetting, ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    cross_compile: str = "arm-linux-gnueabihf-"


FirmwareSource = DebianFirmware | UBootBuild


@dataclass(frozen=True)
class FirmwarePiece:
    """A file that the boot ROM or an earlier stage expects: raw at `offset_bytes`, or as a file `on_card`, or both.

    `name` is the file's name at its source. `rule` names what the boot ROM checks (rom_rules.py); empty if it checks nothing.
    """

    name: str
    reason: str
    offset_bytes: int | None = None
    on_card: str = ""
    rule: str = ""


@dataclass(frozen=True)
class ReservedArea:
    """A place on the card that the firmware writes to later, such as U-Boot's environment; nothing may lie there."""

    name: str
    offset_bytes: int
    size_bytes: int
    reason: str


@dataclass(frozen=True)
class LoaderArgument:
    """One word for the loader's kernel command line. The payload's command line never inherits it."""

    text: str
    reason: str


@dataclass(frozen=True)
class DeviceTree:
    """A device tree for the card: its path in the kernel's package and the `model` it is for.

    Where the firmware would not find the right one by itself: `switch` is the name of a file on the card (empty, made by a
    person) that chooses this tree in a boot script, `pi_filter` the section of config.txt in which it is named.
    """

    path: str
    model: str
    switch: str = ""
    pi_filter: str = ""


@dataclass(frozen=True)
class ScriptAddresses:
    """Where in memory a boot script puts kernel, device tree and initramfs."""

    kernel: int
    tree: int
    initramfs: int
    reason: str


@dataclass(frozen=True)
class Board:
    """One family of boards that one image serves. `aliases` are the names of its members, as a person types them.

    `trees` stay empty where the firmware brings the device tree itself. `fdt` names one of them in the menu where the firmware
    does not choose. `console` stays empty where the device tree names one (stdout-path): names such as ttyO2 and ttyS2 change
    with the kernel's drivers, the device tree does not. `flash` is firmware that is not on the card but in the board's flash
    (or given to QEMU), in the file `flash_file` of its source. `power_of_two` says why the image's size must be one; empty if
    it need not. `serial` and `proof` are for people: where the console is, and what of the chain was seen to run.
    """

    name: str
    title: str
    arch: str
    aliases: tuple[str, ...] = ()
    source: FirmwareSource | None = None
    firmware: tuple[FirmwarePiece, ...] = ()
    flash: FirmwareSource | None = None
    flash_file: str = ""
    reserved: tuple[ReservedArea, ...] = ()
    menu: Menu = Menu.EXTLINUX
    menu_reason: str = ""
    script: ScriptAddresses | None = None
    table: Table = Table.MBR
    trees: tuple[DeviceTree, ...] = ()
    fdt: str = ""
    fdt_reason: str = ""
    console: str = ""
    arguments: tuple[LoaderArgument, ...] = ()
    partition_start_bytes: int = PARTITION_START_BYTES
    power_of_two: str = ""
    serial: str = ""
    proof: str = ""
    limits: tuple[str, ...] = ()
    page: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a person may give for it."""
        return (self.name, *self.aliases)
