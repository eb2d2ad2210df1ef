"""Anaconda, as Fedora and its relatives have it: its profile, and where its initrd has each file."""

from bootpilot_server.importing.media import FOLDER, Installer

# The initrd's files are gone once the installer's own system runs: a hook of dracut saves them. It looks in three folders
# (dracut-lib.sh, list_hooks), of which older versions know this one alone, as /lib/dracut/hooks.
HOOK = "/usr/lib/dracut/hooks/pre-pivot/00-bootpilot.sh"
OWN = {
    "ks.cfg": ("/ks.cfg", "0600"),
    "00-bootpilot.sh": (HOOK, "0755"),
    "pre.sh": (f"{FOLDER}/pre.sh", "0755"),
    "post.sh": (f"{FOLDER}/post.sh", "0755"),
    "keep-note.sh": (f"{FOLDER}/keep-note.sh", "0755"),
    "module-setup.sh": (f"{FOLDER}/module-setup.sh", "0755"),
}
SECRET = "fedora-user-password"


def kickstart(console: str, tree: str) -> Installer:
    """`tree` is the URL of the installation tree, "" where the operator will write it into the profile."""
    line = f'tree = "{tree}"' if tree else '# tree = "http://mirror.example/fedora/linux/releases/42/Everything/x86_64/os/"'
    head = f"""\
# Anaconda, unattended, on the one disk that fits [settings]; `bootpilot import kickstart` wrote this once, and it is yours now.
# dracut finds /ks.cfg in the initrd; what else the initrd has for it, 00-bootpilot.sh carries over.
command_line = "inst.ks=file:/ks.cfg inst.text ip=dhcp console={console}"
"""
    settings = f"""\
# The installation tree: its images/install.img is fetched, and its packages. It has no default: no mirror is everybody's.
{line}
locale = "en_US.UTF-8"
keyboard = "us"
timezone = "Etc/UTC"
domain = ""
# One person who may do everything by sudo; the hash of the password is the secret {SECRET}.
user = "operator"
ssh_keys = []
packages = ["httpd", "mariadb-server", "php", "php-mysqlnd"]
"""
    return Installer("kickstart", OWN, head, settings)
