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
FOLDER = "the folder that holds profiles/ and rules/; made if it is not there"


def add_arguments(verbs: Verbs) -> None:
    text = "take another installer in: its kernel, a profile and templates to begin with"
    group = verbs.add_parser("import", help=text, description=sentence(text))
    inner = group.add_subparsers(required=True, metavar="INSTALLER")
    _add_debian_installer(inner)


def _add_debian_installer(inner: Verbs) -> None:
    text = "debian-installer, unattended: a web server on the one disk that fits"
    debian = verb(inner, "debian-installer", "importing_commands:import_debian_installer", text, DEBIAN)
    debian.add_argument("--release", required=True, choices=("bookworm", "trixie"), help="which Debian")
    debian.add_argument("--arch", required=True, choices=("amd64", "arm64", "armhf"), help="for which boards")
    debian.add_argument("--mirror", metavar="URL", default="", help="the Debian archive that the boards install from")
    debian.add_argument("--from", dest="package", type=Path, metavar="FILE.deb", help="the netboot package, already here")
    add_profile_name(debian)


def add_profile_name(parser: argparse.ArgumentParser) -> None:
    """What every importer takes."""
    parser.add_argument("--name", metavar="NAME", default="", help="the profile's name; made of release and architecture")
    parser.add_argument("site", type=Path, metavar="SITE_FOLDER", help=FOLDER)
