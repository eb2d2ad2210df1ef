"""The documents of an OCI image: which layers make the root file system of this architecture. No I/O here.

OCI Image Format Specification 1.1: index -> manifest of the platform -> layers. Everything else is named by its digest.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bootpilot_agent.fields import FieldError, Fields
from bootpilot_agent.install_order import Compression
from bootpilot_install.errors import ImageError

MAX_DOCUMENT_BYTES = 4 << 20
MAX_LAYERS = 512
MAX_MANIFESTS = 256
# An index may hold indexes; nobody nests them deeper.
DEEPEST = 3

# Debian's names -> platform.architecture and the variants that it runs, the best first ("" where none is said).
PLATFORMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "amd64": ("amd64", ("", "v1")),
    "arm64": ("arm64", ("v8", "")),
    "armhf": ("arm", ("v7", "")),
    "riscv64": ("riscv64", ("",)),
}
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
LAYER_TYPES = {
    "application/vnd.oci.image.layer.v1.tar": Compression.NONE,
    "application/vnd.oci.image.layer.v1.tar+gzip": Compression.GZIP,
    "application/vnd.oci.image.layer.v1.tar+zstd": Compression.ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": Compression.GZIP,
    "application/vnd.docker.image.rootfs.diff.tar": Compression.NONE,
}
DIGEST_PATTERN = r"sha256:[0-9a-f]{64}"

# A small document by its digest (hex). Raises ImageError where it is not in the archive.
ReadDocument = Callable[[str], bytes]


@dataclass(frozen=True)
class Layer:
    """One archive of changes: `sha256` of it as packed."""

    sha256: str
    size_bytes: int
    compression: Compression


def choose_layers(index: bytes, read: ReadDocument, arch: str) -> tuple[Layer, ...]:
    """The layers of this architecture's image, the lowest first. Raises ImageError."""
    try:
        manifest = _choose_manifest(Fields.from_bytes(index, MAX_DOCUMENT_BYTES), read, arch, DEEPEST)
        _check_config(manifest.child("config"), read, arch)
        layers = tuple(_layer(item) for item in manifest.children("layers", most=MAX_LAYERS))
    except FieldError as error:
        raise ImageError(f"the OCI image's documents are wrong: {error}") from error
    if not layers:
        raise ImageError("the OCI image has no layers")
    return layers


def digest_of(descriptor: Fields) -> str:
    """The hex digits. Raises FieldError for another kind of digest."""
    return descriptor.text("digest", pattern=DIGEST_PATTERN, expected="a sha256 digest").removeprefix("sha256:")


def _choose_manifest(index: Fields, read: ReadDocument, arch: str, deepest: int) -> Fields:
    entries = index.children("manifests", most=MAX_MANIFESTS)
    chosen = entries[0] if len(entries) == 1 and not entries[0].has("platform") else _of_platform(entries, arch)
    document = Fields.from_bytes(read(digest_of(chosen)), MAX_DOCUMENT_BYTES)
    if document.has("manifests") or chosen.text_or_none("mediaType") in INDEXES:
        if not deepest:
            raise ImageError("the OCI image's indexes are nested without end")
        return _choose_manifest(document, read, arch, deepest - 1)
    return document


def _of_platform(entries: list[Fields], arch: str) -> Fields:
    wanted, variants = PLATFORMS[arch]
    fitting: dict[str, list[Fields]] = {}
    there = []
    for entry in entries:
        if not entry.has("platform"):
            continue
        platform = entry.child("platform")
        name, variant = platform.text("architecture", most=64), platform.text_or_none("variant", most=64) or ""
        there.append("/".join(filter(None, (platform.text("os", most=64), name, variant))))
        if name == wanted and platform.text("os", most=64) == "linux":
            fitting.setdefault(variant, []).append(entry)
    for variant in variants:
        if len(fitting.get(variant, [])) == 1:
            return fitting[variant][0]
    raise ImageError(
        f"the OCI image has no one image for linux/{wanted}: {', '.join(there) or 'it names no platforms'}",
        "copy that architecture's, with one tag: skopeo copy --override-arch ARCH ... oci-archive:FILE",
    )


def _check_config(descriptor: Fields, read: ReadDocument, arch: str) -> None:
    config = Fields.from_bytes(read(digest_of(descriptor)), MAX_DOCUMENT_BYTES)
    found = config.text("architecture", most=64)
    if found != PLATFORMS[arch][0]:
        raise ImageError(
            f"the OCI image is for {found}, and this board is {arch}",
            "copy the right one: skopeo copy --override-arch ARCH ... oci-archive:FILE",
        )


def _layer(item: Fields) -> Layer:
    kind = item.text("mediaType", most=256)
    # "nondistributable" was a word for layers under a licence (specification 1.0).
    compression = LAYER_TYPES.get(re.sub(r"\.nondistributable|\.foreign", "", kind))
    if compression is None:
        raise ImageError(f"the OCI image has a layer of type {kind}, which is no archive of files")
    return Layer(digest_of(item), item.number("size"), compression)
