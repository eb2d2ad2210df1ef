"""Ubuntu's server installer (subiquity): its profile, and where its initrd has each file."""

from bootpilot_server.importing.media import FOLDER, KEEP_NOTE, REPORT, Installer

OWN = {
    "user-data": (f"{FOLDER}/user-data", "0600"),
    "meta-data": (f"{FOLDER}/meta-data", "0600"),
    # initramfs-tools reads /conf/conf.d at its start, and runs what stands in a folder's ORDER.
    "conf.sh": ("/conf/conf.d/bootpilot", "0644"),
    "init-bottom.sh": ("/scripts/init-bottom/bootpilot", "0755"),
    "early.sh": (f"{FOLDER}/early.sh", "0755"),
    "late.sh": (f"{FOLDER}/late.sh", "0755"),
}
SECRET = "ubuntu-user-password"


def autoinstall(console: str, iso: str) -> Installer:
    """`iso` is the URL of the live server's image, which casper fetches into memory."""
    url = iso or "http://mirror.example/ubuntu-24.04-live-server.iso"
    remark = "" if iso else "# url: where boards fetch the live server's image from; nobody's mirror is everybody's.\n"
    head = f"""\
# Ubuntu Server, unattended, on the one disk that fits [settings]; `bootpilot import autoinstall` wrote this once, and it is
# yours now. The image is fetched into memory: boards need some GiB more than it has. The installer puts GRUB on the disk: the
# firmware must go on starting the card.
{remark}command_line = "autoinstall ip=dhcp url={url} console={console}"
"""
    settings = f"""\
locale = "en_US.UTF-8"
keyboard = "us"
timezone = "Etc/UTC"
# One person who may do everything by sudo; the hash of the password is the secret {SECRET}.
user = "operator"
ssh_keys = []
packages = ["apache2", "mariadb-server", "php", "libapache2-mod-php", "php-mysql"]
"""
    return Installer("autoinstall", OWN, head, settings, (*REPORT, KEEP_NOTE))
