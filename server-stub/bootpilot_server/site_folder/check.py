"""A folder, or a revision's texts, and everything that is wrong with it: syntax, references, artifacts."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from bootpilot_server.artifacts.artifact_facts import facts_if_there
from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.deciding.decision import Catalogue, StoredArtifact
from bootpilot_server.deciding.recipes import ArtifactRef, Profile, Revision
from bootpilot_server.site_folder.findings import Finding
from bootpilot_server.site_folder.image_use import IMAGE, image_findings
from bootpilot_server.site_folder.install_recipes import install_secret_findings
from bootpilot_server.site_folder.revision import read_revision
from bootpilot_server.site_folder.secret_use import secret_findings
from bootpilot_server.site_folder.setting_use import setting_findings
from bootpilot_server.site_folder.settled import read_settled_folder
from bootpilot_server.site_folder.toml_lines import key_lines, line_of

TREE_ROLES: dict[tuple[str | int, ...], str] = {("dtb",): "dtb", ("dtb", "overlay"): "overlay"}
TREE_NAMES = {"dtb": "a device tree", "overlay": "a device tree overlay"}


@dataclass(frozen=True)
class Checked:
    """A folder as it was read, with what was found. `is_usable` if nothing but warnings was."""

    texts: Mapping[str, str]
    revision: Revision
    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        return all(finding.warning for finding in self.findings)


def check_folder(root: Path, store: ArtifactStore, secrets: Set[str] = frozenset()) -> Checked:
    """`secrets` are those declared on this server. Raises OperatorError if there is no such folder, or if it keeps changing
    while it is read.
    """
    texts, unreadable = read_settled_folder(root)
    return check_texts(texts, store, secrets, unreadable)


def check_texts(
    texts: Mapping[str, str], store: ArtifactStore, secrets: Set[str] = frozenset(), unreadable: Iterable[Finding] = ()
) -> Checked:
    """The same for texts that were read, or put in force, before."""
    revision, findings = read_revision(texts)
    findings += secret_findings(revision, texts, secrets)
    findings += setting_findings(revision.profiles, texts)
    findings += install_secret_findings(revision.profiles, texts, secrets)
    payloads = revision.payloads()
    stored = store.describe({ref.sha256 for payload in payloads.values() for ref in payload.artifacts if ref.sha256})
    absent = [finding for path, payload in payloads.items() for finding in _artifact_findings(path, payload, stored, texts)]
    unfit = [finding for path, payload in payloads.items() for finding in _module_findings(path, payload, store, texts)]
    catalogue = Catalogue(stored)
    unfit += [
        finding for path, payload in payloads.items() for finding in image_findings(path, payload, store, catalogue, texts)
    ]
    return Checked(texts, revision, tuple(sorted({*unreadable, *findings, *absent, *unfit})))


def _module_findings(path: str, profile: Profile, store: ArtifactStore, texts: Mapping[str, str]) -> list[Finding]:
    """Initrds whose modules are all for other kernels: what needs a driver would not find it."""
    known = {ref.sha256: facts for ref in (profile.kernel, *profile.initrds) if (facts := facts_if_there(store, ref.sha256))}
    kernel = known.get(profile.kernel.sha256)
    modules = {sha256: known[sha256].modules for ref in profile.initrds if (sha256 := ref.sha256) in known}
    fitting = kernel is None or any(kernel.version in versions for versions in modules.values())
    if kernel is None or not kernel.version or fitting:
        return []
    findings = []
    for index, ref in enumerate(profile.initrds):
        if versions := modules.get(ref.sha256):
            name = ref.name or ref.sha256[:12]
            reason = f"initrd {name} has modules for {', '.join(versions)}, and the kernel is {kernel.version}"
            line = line_of(key_lines(texts[path]), ("initrd", index, "sha256"))
            findings.append(Finding(path, line, reason, warning=True))
    return findings


def _artifact_findings(
    path: str, profile: Profile, stored: Mapping[str, StoredArtifact], texts: Mapping[str, str]
) -> list[Finding]:
    """Artifacts that are not there, have another size than the profile says, or are kernels for another machine."""
    lines = key_lines(texts[path])
    findings = []
    for place, ref in _places(profile):
        if ref.sha256 and (fault := _fault(profile, place, ref, stored.get(ref.sha256))):
            reason, warning = fault
            findings.append(Finding(path, line_of(lines, (*place, "sha256")), reason, warning))
    return findings


def _fault(
    profile: Profile, place: tuple[str | int, ...], ref: ArtifactRef, found: StoredArtifact | None
) -> tuple[str, bool] | None:
    name = ref.name or ref.sha256[:12]
    if found is None:
        return f"artifact {name} is not on this server; `bootpilot artifact add FILE` puts it there", False
    if ref.size_bytes and ref.size_bytes != found.size_bytes:
        return f"artifact {name} has {found.size_bytes} bytes here, the profile says {ref.size_bytes}", False
    if found.size_bytes == 0:
        return f"artifact {name} is empty", False
    if place == ("kernel",) and profile.arch and found.kernel_arch not in ("", profile.arch):
        return f"artifact {name} is a kernel for {found.kernel_arch}, the profile is for {profile.arch}", False
    wanted = TREE_ROLES.get(place[:2])
    if wanted and found.role != wanted:
        return f"artifact {name} is not {TREE_NAMES[wanted]} as dtc writes it, whole and unpacked", False
    if place == ("kernel",) and not found.kernel_arch:
        return f"artifact {name} does not look like a kernel that kexec takes (bzImage, Image or zImage)", True
    return None


def _places(profile: Profile) -> list[tuple[tuple[str | int, ...], ArtifactRef]]:
    """Every artifact that the profile mentions, with its place in the file."""
    places: list[tuple[tuple[str | int, ...], ArtifactRef]] = [(("kernel",), profile.kernel)]
    places += [(("initrd", index), ref) for index, ref in enumerate(profile.initrds)]
    places += [(("dtb",), profile.dtb)] if profile.dtb else []
    places += [(("dtb", "overlay", index), ref) for index, ref in enumerate(profile.dtb_overlays)]
    if profile.install:
        image = profile.install.image
        places += [(IMAGE, image.artifact), *([((*IMAGE, "block_map"), image.block_map)] if image.block_map else [])]
    return places
