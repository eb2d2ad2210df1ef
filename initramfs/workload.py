"""The content of the RAM workload's initrd: what goes where. Starts nothing and writes nothing."""

from pathlib import Path

from bootpilot_agent.cpio import symlink
from initramfs.image_layout import add_modules, begin_bare_layout
from initramfs.kernel import BUSYBOX_INDEXES, Kernel
from initramfs.layout import Layout
from initramfs.programs import add_busybox

LAST_PART = "page"
FILES = Path(__file__).with_name("workload")
APPLETS = """
    [ ash awk cat chmod chroot clear cp cttyhack cut date dd df dirname dmesg du echo env false find free grep halt head hexdump
    hostname httpd id ifconfig ip kill killall less ln ls md5sum mkdir mknod modprobe more mount mv nc netstat nproc nslookup
    ping ping6 poweroff printf ps pwd readlink realpath reboot rm rmdir route sed seq setsid sh sha256sum sleep sort stat
    sync sysctl tail test time timeout top touch tr true udhcpc umount uname uniq uptime vi wc wget which xargs yes
"""


def workload_layout(root: Path, kernel: Kernel, modules: Path) -> Layout:
    """Everything in the workload's initrd. `root`: unpacked static busybox; `modules`: staged with indexes."""
    layout = begin_bare_layout("init", LAST_PART)
    layout.add_tree(LAST_PART, "", FILES)
    add_busybox(layout, root / "bin" / "busybox", APPLETS)
    # The kernel itself asks for /sbin/modprobe (CONFIG_MODPROBE_PATH): 8021q is loaded by adding a VLAN.
    layout.add("busybox", symlink("usr/sbin/modprobe", "../bin/busybox"))
    add_modules(layout, modules, kernel.version, BUSYBOX_INDEXES)
    return layout
