"""The profile of an unattended debian-installer, as text for an operator to read and change."""

from bootpilot_server.importing.netboot_package import Netboot

# Copied into templates/: what all installers share, and what is debian-installer's own.
TEMPLATES = {
    "installers": ("disk-guard.sh", "call-server.sh"),
    "debian-installer": ("preseed.cfg", "early.sh", "partman-early.sh", "progress.sh", "late.sh", "report-boot.sh"),
}
# What Linux calls the first serial port there, and the machines that have it under another name.
CONSOLES = {
    "amd64": ("ttyS0", "a PC"),
    "arm64": ("ttyAMA0", "QEMU's virt, many servers; ttyS0, ttyS2 or ttymxc0 elsewhere"),
    "armhf": ("ttyAMA0", "QEMU's virt; ttyS0 on Allwinner, ttymxc0 on i.MX, ttyO2 on OMAP"),
}
FILES = (
    ("/preseed.cfg", "debian-installer/preseed.cfg", "0600"),
    ("/etc/bootpilot/call-server.sh", "installers/call-server.sh", "0644"),
    ("/etc/bootpilot/disk-guard.sh", "installers/disk-guard.sh", "0755"),
    ("/etc/bootpilot/early.sh", "debian-installer/early.sh", "0755"),
    ("/etc/bootpilot/partman-early.sh", "debian-installer/partman-early.sh", "0755"),
    ("/etc/bootpilot/progress.sh", "debian-installer/progress.sh", "0755"),
    ("/etc/bootpilot/late.sh", "debian-installer/late.sh", "0755"),
    ("/etc/bootpilot/report-boot.sh", "debian-installer/report-boot.sh", "0755"),
)


def profile_text(netboot: Netboot, version: str, artifacts: str, mirror: str) -> str:
    """profiles/NAME.toml; `artifacts` are its lines about kernel and initrd. What a person must decide stands in [settings]."""
    console, told = CONSOLES[netboot.arch]
    files = "\n\n".join(
        f'[[file]]\npath = "{path}"\ntemplate = "{template}"\nmode = "{mode}"' for path, template, mode in FILES
    )
    mirror_line = f'mirror = "{mirror}"' if mirror else '# mirror = "http://mirror.example/debian"'
    return f"""\
# Debian {netboot.release} for {netboot.arch}, unattended: Apache, MariaDB and PHP on the one disk that fits [settings].
# debian-installer {version}; `bootpilot import debian-installer` wrote this once, and it is yours from now on.
arch = "{netboot.arch}"
expects = "installed"
writes_disk = true
# From the jump to `done`: packages come over the network and a slow board unpacks them for hours.
done_deadline_s = 21600
# The installer's first word comes when its network is up.
payload_up_deadline_s = 1800
# console: {told}.
# What follows --- is the installed system's too.
command_line = "priority=critical DEBIAN_FRONTEND=text panic=30 --- console={console}"

{artifacts}

[settings]
# The Debian archive that boards install from, with its path. It has no default: no mirror is everybody's.
{mirror_line}
suite = "{netboot.release}"
# A proxy that boards reach the archive through, such as http://cache.example:3142; "" for none.
proxy = ""
locale = "en_US.UTF-8"
keyboard = "us"
timezone = "Etc/UTC"
# One person who may do everything by sudo. The hash is a secret of that name: mkpasswd -m sha-512.
user = "operator"
user_password_secret = true
packages = "apache2 mariadb-server php libapache2-mod-php php-mysql openssh-server"
domain = ""
# Which disk may be written: exactly one that fits all of this, and never the card. Globs; "" fits any.
disk_transports = "sata usb nvme"
disk_min_gb = 8
disk_model = ""
disk_serial = ""
disk_path = ""
# true: what is on the disk is lost, whoever put it there.
disk_wipe = false
# So many seconds after it finds no server, the board starts this system by itself; -1: never.
autonomous_after_s = 300

{files}
"""
