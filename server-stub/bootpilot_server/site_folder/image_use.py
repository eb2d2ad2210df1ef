"""Whether an image is what a profile's [install] says of it: told from the file's own bytes."""

from collections.abc import Mapping

from bootpilot_agent.install_order import ImageKind
from bootpilot_server.artifacts.artifact_facts import facts_if_there
from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.deciding.decision import Catalogue
from bootpilot_server.deciding.install_rendering import compression_of
from bootpilot_server.deciding.recipes import Profile
from bootpilot_server.deciding.rendering import RenderError
from bootpilot_server.site_folder.findings import Finding
from bootpilot_server.site_folder.toml_lines import key_lines, line_of

IMAGE = ("install", "image")
IMAGES = {
    ImageKind.TAR: "an archive of files",
    ImageKind.OCI: "a container image in OCI's layout",
    ImageKind.DISK: "an image of a whole disk",
}


def image_findings(
    path: str, profile: Profile, store: ArtifactStore, artifacts: Catalogue, texts: Mapping[str, str]
) -> list[Finding]:
    """What the image's own bytes say against the profile."""
    install = profile.install
    facts = facts_if_there(store, install.image.artifact.sha256) if install else None
    if install is None or facts is None:
        return []
    image, findings, lines = install.image, [], key_lines(texts[path])
    name = image.artifact.name or image.artifact.sha256[:12]
    if facts.image and facts.image != image.kind:
        told = f'install.image.kind: says "{image.kind}", and {name} is {IMAGES[ImageKind(facts.image)]}'
        findings.append(Finding(path, line_of(lines, (*IMAGE, "kind")), told))
    elif not facts.image:
        told = f"{name} does not look like {IMAGES[image.kind]}"
        findings.append(Finding(path, line_of(lines, (*IMAGE, "sha256")), told, warning=True))
    try:
        compression_of(image, artifacts)
    except RenderError as error:
        findings.append(Finding(path, line_of(lines, (*IMAGE, "compression")), str(error)))
    if image.block_map and (about := facts_if_there(store, image.block_map.sha256)) and about.role != "block_map":
        told = "install.image.block_map: is no block map as bmaptool writes it"
        findings.append(Finding(path, line_of(lines, (*IMAGE, "block_map")), told))
    return findings
