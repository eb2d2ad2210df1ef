"""Takes debian-installer in: Debian's netboot images as artifacts, a profile and templates into an operator's folder."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bootpilot_server.artifacts.artifact_import import Imported, import_artifact
from bootpilot_server.errors import OperatorError
from bootpilot_server.importing.apt import download
from bootpilot_server.importing.debian_profile import TEMPLATES, profile_text
from bootpilot_server.importing.media import store_initrd
from bootpilot_server.importing.netboot_package import Images, Netboot, take_images
from bootpilot_server.importing.site_texts import SiteText, template_texts, write_new
from bootpilot_server.server import Server

# With nothing that would end a TOML string, or a line of a preseed file.
MIRROR_PATTERN = r"https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._~/-]*)?"


@dataclass(frozen=True)
class Order:
    """What the operator asked for. `mirror` is "" where they will write it into the profile."""

    netboot: Netboot
    site: Path
    profile: str
    mirror: str
    deb: Path | None


@dataclass(frozen=True)
class Done:
    """What was stored and what became of each file of the folder."""

    version: str
    kernel: Imported
    initrd: Imported
    texts: tuple[SiteText, ...]


def import_debian_installer(server: Server, order: Order) -> Done:
    """Raises OperatorError. Asked again it changes nothing that is there."""
    if order.mirror and not re.fullmatch(MIRROR_PATTERN, order.mirror):
        raise OperatorError(
            f"--mirror {order.mirror!r} is no address of a Debian archive", "such as http://mirror.example/debian"
        )
    with tempfile.TemporaryDirectory(prefix="bootpilot-import-") as scratch:
        folder = Path(scratch)
        deb = order.deb or download(order.netboot.package, order.netboot.release, folder)
        images = take_images(order.netboot, deb, folder)
        kernel, initrd = _store(server, order.netboot, images)
    artifacts = f"{kernel.to_toml()}\n\n{initrd.to_toml()}"
    texts = {f"profiles/{order.profile}.toml": profile_text(order.netboot, images.version, artifacts, order.mirror)}
    for template_folder, names in TEMPLATES.items():
        texts |= template_texts(template_folder, names)
    return Done(images.version, kernel, initrd, write_new(order.site, texts))


def _store(server: Server, netboot: Netboot, images: Images) -> tuple[Imported, Imported]:
    name = f"{netboot.package}_{images.version}"
    kernel = import_artifact(server, images.kernel, f"{name}-linux")
    if kernel.kernel_arch != netboot.arch:
        found = kernel.kernel_arch or "nothing that kexec takes"
        raise OperatorError(f"{netboot.kernel}: is a kernel for {found}, expected {netboot.arch}")
    return kernel, store_initrd(server, images.initrd, f"{name}-initrd", netboot.initrd, "fetch the package again")
