"""What rows of several architectures share: the loader's arguments and reasons that come up again. Pure data."""

from scripts.sdcard.board import LoaderArgument

ONE_CPU = LoaderArgument(
    "nr_cpus=1",
    "kexec_load refuses (EINVAL, or EBUSY with spin tables) while there are CPUs that the firmware cannot switch off; "
    "started with one CPU, the next kernel gets them all",
)
REBOOT_AFTER_PANIC = LoaderArgument("panic=10", "a board that nobody watches tries again instead of standing still")
RAMFS_ROOT = LoaderArgument("rootfstype=ramfs", "a tmpfs root is limited to half of the memory, and the payload must fit in it")
ONE_CPU_ANYWHERE = LoaderArgument(
    "nr_cpus=1", "the loader needs no second CPU, and one that was never started cannot disturb the next kernel"
)
BOARD_ARGUMENTS = (ONE_CPU, REBOOT_AFTER_PANIC, RAMFS_ROOT)
RISCV_ARGUMENTS = (ONE_CPU_ANYWHERE, REBOOT_AFTER_PANIC, RAMFS_ROOT)


QEMU_SD_SIZE = "QEMU's SD card refuses an image whose size is no power of two (hw/sd/sd.c, sd_realize)"
PI_FIRMWARE_REASON = "not free software: the archive's part non-free-firmware"
PI_MENU_REASON = "the firmware loads a kernel itself; U-Boot between them would be one more thing to keep"
PI_CONFIG_RULE = "read from the root of the first FAT partition by"
