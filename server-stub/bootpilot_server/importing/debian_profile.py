"""The profile of an unattended debian-installer, as text for an operator to read and change."""

from collections.abc import Iterator

from bootpilot_server.importing.media import FOLDER, GUARD_SETTINGS, files_toml, mode_of
from bootpilot_server.importing.netboot_package import Netboot

# Copied into templates/: what all installers share, and what is debian-installer's own.
TEMPLATES = {
    "installers": (
        "guard.conf",
        "mark.conf",
        "disk-guard.sh",
        "call-server.sh",
        "leave-mark.sh",
        "evidence.json",
        "authorized_keys",
    ),
    "debian-installer": (
        "preseed.cfg",
        "settings.conf",
        "early.sh",
        "progress.sh",
        "partman-early.sh",
        "late.sh",
        "finish.sh",
        "keep-note.sh",
        "report-boot.sh",
        "bootpilot-report.service",
    ),
}
# What Linux calls the first serial port there, and the machines that have it under another name.
CONSOLES = {
    "amd64": ("ttyS0", "a PC"),
    "arm64": ("ttyAMA0", "QEMU's virt, many servers; ttyS0, ttyS2 or ttymxc0 elsewhere"),
    "armhf": ("ttyAMA0", "QEMU's virt; ttyS0 on Allwinner, ttymxc0 on i.MX, ttyO2 on OMAP"),
}


def template_files() -> Iterator[tuple[str, str, str]]:
    """Every template, where a board finds it, and its mode: the preseed file where the installer looks for it, all others side
    by side.
    """
    for folder, names in TEMPLATES.items():
        for name in names:
            yield f"{folder}/{name}", "/preseed.cfg" if name == "preseed.cfg" else f"{FOLDER}/{name}", mode_of(name)


def profile_text(netboot: Netboot, version: str, artifacts: str, mirror: str) -> str:
    """profiles/NAME.toml; `artifacts` are its lines about kernel and initrd. What a person must decide stands in [settings]."""
    console, told = CONSOLES[netboot.arch]
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
# What else of the archive: security comes from Debian's own host unless security_host = "..." names another; "" for neither.
services = "security, updates"
# A proxy that boards reach the archive through, such as http://cache.example:3142; "" for none.
proxy = ""
locale = "en_US.UTF-8"
keyboard = "us"
timezone = "Etc/UTC"
ntp = true
domain = ""
# One person who may do everything by sudo; the installer reserves operator, admin and the like. The hash of the password is
# the secret debian-user-password.
user = "keeper"
ssh_keys = []
packages = "apache2 mariadb-server php libapache2-mod-php php-mysql openssh-server"
# An installation that is not over so many seconds after its start has failed; shorter than done_deadline_s above.
give_up_s = 20000
{GUARD_SETTINGS}
{files_toml(template_files())}
"""
