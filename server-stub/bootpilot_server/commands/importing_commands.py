"""`bootpilot import ...`: what was taken in, what was written, and what is to be done next."""

import argparse
import re
from pathlib import Path

from bootpilot_agent.fields import Json
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError
from bootpilot_server.importing import autoinstall, debian_installer, kickstart
from bootpilot_server.importing.debian_profile import CONSOLES
from bootpilot_server.importing.media import Installer, Media, take_in
from bootpilot_server.importing.netboot_package import Netboot
from bootpilot_server.importing.site_texts import Outcome, SiteText
from bootpilot_server.server import opened_server, read_config
from bootpilot_server.site_folder.profiles import NAME_PATTERN, is_name


def import_debian_installer(arguments: argparse.Namespace, terminal: Terminal) -> int:
    profile = checked_name(arguments.name or f"debian-{arguments.release}-{arguments.arch}")
    netboot = Netboot(arguments.release, arguments.arch)
    order = debian_installer.Order(netboot, arguments.site, profile, arguments.mirror, arguments.package)
    with opened_server(read_config(arguments.home), create=True) as server:
        done = debian_installer.import_debian_installer(server, order)
    lines = [f"debian-installer {done.version} for {netboot.arch}"]
    lines += [f"stored {part.name}: {part.size_bytes} bytes" for part in (done.kernel, done.initrd)]
    lines += told_texts(done.texts)
    lines += _next_steps(order)
    data: dict[str, Json] = {
        "profile": profile,
        "version": done.version,
        "kernel": done.kernel.sha256,
        "initrd": done.initrd.sha256,
        "files": texts_json(done.texts),
    }
    terminal.tell(data, "\n".join(lines))
    return 0


def import_kickstart(arguments: argparse.Namespace, terminal: Terminal) -> int:
    profile = checked_name(arguments.name or f"kickstart-{arguments.arch}")
    what = kickstart.kickstart(CONSOLES[arguments.arch][0], checked_url("--tree", arguments.tree))
    missing = "" if arguments.tree else "name the installation tree: tree in [settings] of {}"
    return _import_media(arguments, terminal, profile, what, kickstart.SECRET, missing)


def import_autoinstall(arguments: argparse.Namespace, terminal: Terminal) -> int:
    profile = checked_name(arguments.name or f"autoinstall-{arguments.arch}")
    what = autoinstall.autoinstall(CONSOLES[arguments.arch][0], checked_url("--iso", arguments.iso))
    missing = "" if arguments.iso else "name the image that boards fetch: url= in command_line of {}"
    return _import_media(arguments, terminal, profile, what, autoinstall.SECRET, missing)


def _import_media(
    arguments: argparse.Namespace, terminal: Terminal, profile: str, installer: Installer, secret: str, missing: str
) -> int:
    media = Media(arguments.arch, arguments.kernel, arguments.initrd, profile)
    with opened_server(read_config(arguments.home), create=True) as server:
        done = take_in(server, media, installer, arguments.site, profile)
    steps = [missing.format(f"{arguments.site}/profiles/{profile}.toml")] if missing else []
    lines = [f"stored {part.name}: {part.size_bytes} bytes" for part in (done.kernel, done.initrd)]
    lines += [*told_texts(done.texts), *_steps(steps, arguments.site, profile, secret)]
    data: dict[str, Json] = {
        "profile": profile,
        "kernel": done.kernel.sha256,
        "initrd": done.initrd.sha256,
        "files": texts_json(done.texts),
    }
    terminal.tell(data, "\n".join(lines))
    return 0


def checked_url(option: str, url: str) -> str:
    """It stands in a profile and on a command line. Raises OperatorError."""
    if url and not re.fullmatch(r"https?://[!#-;=?-\[\]-~]{1,400}", url):
        raise OperatorError(f"{option} {one_line(url)!r}: expected a URL that begins with http:// or https://, without blanks")
    return url


def checked_name(name: str) -> str:
    """A profile's name. Raises OperatorError."""
    if not is_name(name):
        raise OperatorError(f"{name!r} is no name for a profile; expected one like {NAME_PATTERN}")
    return name


def told_texts(texts: tuple[SiteText, ...]) -> list[str]:
    return [f"{text.outcome}: {one_line(text.path)}" for text in texts]


def texts_json(texts: tuple[SiteText, ...]) -> list[Json]:
    return [{"path": text.path, "written": text.outcome is Outcome.WRITTEN, "outcome": text.outcome.value} for text in texts]


def _next_steps(order: debian_installer.Order) -> list[str]:
    site, profile = order.site, order.profile
    steps = [] if order.mirror else [f"name the Debian archive: mirror in [settings] of {site}/profiles/{profile}.toml"]
    return _steps(steps, site, profile, "debian-user-password")


def _steps(first: list[str], site: Path, profile: str, secret: str) -> list[str]:
    steps = [
        *first,
        f"say where the password's hash (mkpasswd -m sha-512) is: [{secret}] in secrets.toml of the server's folder",
        f'look through [settings], above all which disk may be written; give boards a rule with profile = "{profile}"',
        f"bootpilot check {site} && bootpilot apply {site}",
        f"bootpilot render NODE --profile {profile} shows what a board would get",
    ]
    return ["next:", *(f"  {number}. {step}" for number, step in enumerate(steps, start=1))]
