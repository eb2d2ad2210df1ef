"""The words of `bootpilot import ...`: one verb for each installer that is not ours."""

import argparse
from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, sentence, verb

DEBIAN = """
Debian's own netboot package is fetched by this machine's apt, which verifies it, unless --from gives it as a file. What is in
the folder already is left as it is, so a second import shows what is new and changes nothing.
  bootpilot import debian-installer --release trixie --arch arm64 --mirror http://mirror.example/debian site/
  bootpilot import debian-installer --release bookworm --arch armhf --from debian-installer-12-netboot-armhf_1_all.deb site/
"""
KICKSTART = """
Kernel and initrd are images/pxeboot/vmlinuz and initrd.img of the installation tree. The profile's disk guard is that of every
installer here: %pre chooses the disk, Anaconda sees no other.
  bootpilot import kickstart --arch amd64 --kernel vmlinuz --initrd initrd.img --tree http://mirror.example/.../os/ site/
"""
AUTOINSTALL = """
Kernel and initrd are casper/vmlinuz and casper/initrd of the live server's image, which boards then fetch from --iso.
  bootpilot import autoinstall --arch amd64 --kernel vmlinuz --initrd initrd --iso http://mirror.example/live-server.iso site/
"""
FOLDER = "the folder that holds profiles/ and rules/; made if it is not there"


def add_arguments(verbs: Verbs) -> None:
    text = "take another installer in: its kernel, a profile and templates to begin with"
    group = verbs.add_parser("import", help=text, description=sentence(text))
    inner = group.add_subparsers(required=True, metavar="INSTALLER")
    _add_debian_installer(inner)
    text = "Anaconda (Fedora and its relatives), unattended, by a kickstart file in its initrd"
    kickstart = verb(inner, "kickstart", "importing_commands:import_kickstart", text, KICKSTART)
    kickstart.add_argument("--tree", metavar="URL", default="", help="the installation tree that boards install from")
    _add_media(kickstart)
    text = "Ubuntu's server installer, unattended, by a cloud-init seed in its initrd"
    autoinstall = verb(inner, "autoinstall", "importing_commands:import_autoinstall", text, AUTOINSTALL)
    autoinstall.add_argument("--iso", metavar="URL", default="", help="where boards fetch the live server's image from")
    _add_media(autoinstall)


def _add_debian_installer(inner: Verbs) -> None:
    text = "debian-installer, unattended: a web server on the one disk that fits"
    debian = verb(inner, "debian-installer", "importing_commands:import_debian_installer", text, DEBIAN)
    debian.add_argument("--release", required=True, choices=("bookworm", "trixie"), help="which Debian")
    debian.add_argument("--arch", required=True, choices=("amd64", "arm64", "armhf"), help="for which boards")
    debian.add_argument("--mirror", metavar="URL", default="", help="the Debian archive that the boards install from")
    debian.add_argument("--from", dest="package", type=Path, metavar="FILE.deb", help="the netboot package, already here")
    add_profile_name(debian)


def _add_media(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--arch", required=True, choices=("amd64", "arm64"), help="for which boards")
    parser.add_argument("--kernel", required=True, type=Path, metavar="FILE", help="vmlinuz of the installer's media")
    parser.add_argument("--initrd", required=True, type=Path, metavar="FILE", help="its initrd")
    add_profile_name(parser)


def add_profile_name(parser: argparse.ArgumentParser) -> None:
    """What every importer takes."""
    parser.add_argument("--name", metavar="NAME", default="", help="the profile's name; made up if not given")
    parser.add_argument("site", type=Path, metavar="SITE_FOLDER", help=FOLDER)
