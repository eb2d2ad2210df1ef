"""Puts into a system what keeps the loader's note, what reports a boot, and what runs once at the first one."""

from collections.abc import Callable
from pathlib import Path

from bootpilot_install.tree import Tree

FILES = Path(__file__).parent / "files"
INITRAMFS_SCRIPT = "etc/initramfs-tools/scripts/init-bottom/bootpilot"
REPORT_PROGRAM = "usr/lib/bootpilot/bootpilot-report"
FIRST_BOOT_SCRIPT = "var/lib/bootpilot/first-boot"
UNITS = "etc/systemd/system"


def install_report(tree: Tree, wanted: bool, say: Callable[[str], None]) -> None:
    """The report's program and unit, and the script for initrds that the system makes later.

    Those that it has need none: the agent adds what they lack when it starts them (initrd_word.py).
    """
    if not wanted:
        return
    tree.write(REPORT_PROGRAM, read_file("bootpilot-report"), 0o755)
    if tree.has("etc/systemd"):
        _enable(tree, "bootpilot-report.service")
    else:
        say(f"report: the image has no systemd; call /{REPORT_PROGRAM} from whatever starts it")
    if tree.has("etc/initramfs-tools") or tree.has("usr/sbin/update-initramfs"):
        tree.write(INITRAMFS_SCRIPT, read_file("initramfs-bootpilot"), 0o755)
    else:
        say("report: the image has no initramfs-tools; /bootpilot of its initrd must come to /run/bootpilot in another way")


def install_first_boot(tree: Tree, script: str, say: Callable[[str], None]) -> None:
    """The order's script as a unit that runs once."""
    if not script:
        return
    tree.make_folder(str(Path(FIRST_BOOT_SCRIPT).parent), 0o700)
    text = script if script.startswith("#!") else "#!/bin/sh\n" + script
    tree.write(FIRST_BOOT_SCRIPT, text if text.endswith("\n") else text + "\n", 0o700)
    if tree.has("etc/systemd"):
        _enable(tree, "bootpilot-first-boot.service")
    else:
        say(f"first boot: the image has no systemd; whatever starts it must call /{FIRST_BOOT_SCRIPT}")


def read_file(name: str) -> str:
    """One of the files beside this program."""
    return (FILES / name).read_text(encoding="utf-8")


def _enable(tree: Tree, unit: str) -> None:
    """As `systemctl enable` would, which cannot run for another processor."""
    tree.write(f"{UNITS}/{unit}", read_file(unit))
    tree.link(f"{UNITS}/multi-user.target.wants/{unit}", f"/{UNITS}/{unit}")
