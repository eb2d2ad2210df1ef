"""Kernel and initrd of another distribution's installer, from files that the operator has; and what the profiles of such
installers have in common, as text for an operator to read and change.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bootpilot_server.artifacts.artifact_import import Imported, import_artifact, import_file
from bootpilot_server.errors import OperatorError
from bootpilot_server.importing.site_texts import SiteText, template_texts, write_new
from bootpilot_server.server import Server

FOLDER = "/etc/bootpilot"
# Of templates/installers, what every installer needs that has a shell.
SHARED = (
    "guard.conf",
    "mark.conf",
    "evidence.json",
    "disk-guard.sh",
    "call-server.sh",
    "choose-disk.sh",
    "leave-mark.sh",
    "give-up.sh",
)
# From debian-installer's templates: what goes into the installed system is the same everywhere.
REPORT = ("report-boot.sh", "bootpilot-report.service")
# And for initramfs-tools.
KEEP_NOTE = "keep-note.sh"
# In [settings] of every profile that was imported.
GUARD_SETTINGS = """\
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
"""


@dataclass(frozen=True)
class Media:
    """What the operator took from an installer's media; `name` is for people."""

    arch: str
    kernel: Path
    initrd: Path
    name: str


@dataclass(frozen=True)
class Taken:
    """What was stored and what became of each file of the folder."""

    kernel: Imported
    initrd: Imported
    texts: tuple[SiteText, ...]


@dataclass(frozen=True)
class Installer:
    """One kind of installer. `own` maps each of its templates to where the installer's initrd has it, with its mode.

    `folder` is the one of templates/ that they are in; `head` and `settings` are TOML of the profile.
    """

    folder: str
    own: Mapping[str, tuple[str, str]]
    head: str
    settings: str
    report: tuple[str, ...] = REPORT


def take_in(server: Server, media: Media, installer: Installer, site: Path, profile: str) -> Taken:
    """Raises OperatorError. Asked again it changes nothing that is there."""
    kernel, initrd = _store(server, media)
    texts = {f"profiles/{profile}.toml": _profile_text(media, installer, f"{kernel.to_toml()}\n\n{initrd.to_toml()}")}
    texts |= template_texts("installers", SHARED) | template_texts("debian-installer", installer.report)
    texts |= template_texts(installer.folder, installer.own)
    return Taken(kernel, initrd, write_new(site, texts))


def _store(server: Server, media: Media) -> tuple[Imported, Imported]:
    found = import_file(server, media.kernel, f"{media.name}-{media.kernel.name}").parts[0]
    if found.kernel_arch != media.arch:
        what = f"a kernel for {found.kernel_arch}" if found.kernel_arch else "nothing that kexec takes"
        raise OperatorError(f"{media.kernel}: is {what}, expected {media.arch}", "--arch says which boards are meant")
    initrd = store_initrd(server, media.initrd, f"{media.name}-{media.initrd.name}", str(media.initrd), "fetch the file again")
    return found, initrd


def store_initrd(server: Server, path: Path, name: str, told: str, hint: str) -> Imported:
    """An installer's initrd. `told` is what a person knows the file by. Raises OperatorError if it is none."""
    initrd = import_artifact(server, path, name)
    if initrd.facts.role != "initrd" or not initrd.unpacked_bytes:
        raise OperatorError(f"{told}: is no initrd that can be unpacked", hint)
    return initrd


def _profile_text(media: Media, installer: Installer, artifacts: str) -> str:
    return f"""\
{installer.head}arch = "{media.arch}"
expects = "installed"
writes_disk = true
# From the jump to `done`: packages come over the network.
done_deadline_s = 7200
# The installer's first word comes when its own system is fetched and runs.
payload_up_deadline_s = 1800

{artifacts}

[settings]
{installer.settings}\
# An installation that is not over so many seconds after its start has failed; shorter than done_deadline_s above.
give_up_s = 6000
{GUARD_SETTINGS}
{_files_toml(installer)}
"""


def _files_toml(installer: Installer) -> str:
    files = [(f"installers/{name}", f"{FOLDER}/{name}", mode_of(name)) for name in SHARED]
    files += [(f"debian-installer/{name}", f"{FOLDER}/{name}", mode_of(name)) for name in installer.report]
    files += [(f"{installer.folder}/{name}", path, mode) for name, (path, mode) in installer.own.items()]
    return files_toml(files)


def files_toml(files: Iterable[tuple[str, str, str]]) -> str:
    """[[file]] of each template: its name, where the board finds it, and its mode."""
    return "\n\n".join(f'[[file]]\npath = "{path}"\ntemplate = "{template}"\nmode = "{mode}"' for template, path, mode in files)


def mode_of(name: str) -> str:
    """Of a template that has no other."""
    return "0755" if name.endswith(".sh") else "0600"
