"""What is known of an artifact from its own bytes, and dear to find out: HOME/artifacts/about/<hex>.json keeps it.

It may be deleted at any time, and is then found out again: nothing in it is more than the bytes themselves say.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.artifacts.compression import FAULTS, MAX_KERNEL_BYTES, unpacked_stream
from bootpilot_server.artifacts.image_forms import BEGINNING_BYTES, image_kind, is_block_map
from bootpilot_server.artifacts.initrd_content import module_versions
from bootpilot_server.artifacts.kernel_header import HEADER_BYTES, kernel_arch, role
from bootpilot_server.artifacts.kernel_version import kernel_version
from bootpilot_server.errors import OperatorError

# What is written here changes with the program; an older program's is found out anew.
EDITION = 2


@dataclass(frozen=True)
class ArtifactFacts:
    """`role` as a profile would use it; `arch` and `version` of a kernel, "" where not told; `modules`: the releases of the
    kernels that an initrd has modules for; `image` the kind of a root file system or disk.
    """

    role: str
    arch: str = ""
    version: str = ""
    modules: tuple[str, ...] = ()
    image: str = ""


def facts_of_artifact(store: ArtifactStore, sha256: str) -> ArtifactFacts:
    """Raises OSError for an artifact that is not there."""
    path = store.about / f"{sha256}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_bytes())
        if kept["edition"] == EDITION:
            return ArtifactFacts(kept["role"], kept["arch"], kept["version"], tuple(kept["modules"]), kept["image"])
    facts = _find_out(store, sha256)
    # Whoever may only read the store finds out each time.
    with suppress(OSError):
        _keep(path, facts)
    return facts


def facts_if_there(store: ArtifactStore, sha256: str) -> ArtifactFacts | None:
    try:
        return facts_of_artifact(store, sha256)
    except OSError:
        return None


def _find_out(store: ArtifactStore, sha256: str) -> ArtifactFacts:
    with store.open(sha256) as file:
        head = file.read(HEADER_BYTES)
        kind, arch = role(head), kernel_arch(head)
        file.seek(0)
        if kind == "kernel":
            return ArtifactFacts(kind, arch, kernel_version(file.read(MAX_KERNEL_BYTES)))
        if kind != "initrd":
            return ArtifactFacts(kind)
        if is_block_map(head):
            return ArtifactFacts("block_map")
        if image := image_kind(_beginning(file, head)):
            return ArtifactFacts("image", image=image)
        file.seek(0)
        return ArtifactFacts(kind, modules=module_versions(file))


def _beginning(file: BinaryIO, head: bytes) -> bytes:
    """Of what unpacks from it, or of the file itself; "" for what is damaged."""
    try:
        with unpacked_stream(file, head) as stream:
            return (stream or file).read(BEGINNING_BYTES)
    except (*FAULTS, OperatorError):
        return b""


def _keep(path: Path, facts: ArtifactFacts) -> None:
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"edition": EDITION, **asdict(facts)}))
    draft.replace(path)
