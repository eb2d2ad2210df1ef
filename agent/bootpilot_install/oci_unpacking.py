"""An OCI image archive -> files of a tree. The archive's parts come in any order, so they wait on the new disk itself.

Owns the folder `SPOOL` of the new root until it is done. Every part is checked against the digest that is its name.
"""

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from bootpilot_install.errors import DiskError, DiskFullError, ImageError
from bootpilot_install.member_rules import clean_path
from bootpilot_install.oci_layout import MAX_DOCUMENT_BYTES, Layer, choose_layers
from bootpilot_install.stream import open_stream
from bootpilot_install.tar_format import Kind, Member, Read, TarReader
from bootpilot_install.tree import FILE_FLAGS, OutOfTreeError, Parts, Tree, remove
from bootpilot_install.unpacking import NO_SPACE, Unpacker

SPOOL = b".bootpilot-image"
COPY_BYTES = 1 << 20
WHITEOUT, OPAQUE = b".wh.", b".wh..wh..opq"
# What stands beside the blobs, and is small.
DOCUMENTS = {(b"index.json",), (b"oci-layout",)}


def unpack_oci(read: Read, tree: Tree, arch: str, say: Callable[[str], None]) -> int:
    """The number of files. Raises ImageError, DiskFullError, DiskError."""
    try:
        index = _spool(TarReader(read), tree)
        layers = choose_layers(index, lambda digest: _document(tree, digest), arch)
        unpacker = Unpacker(tree, say)
        for number, layer in enumerate(layers, start=1):
            say(f"image: layer {number} of {len(layers)}, {layer.size_bytes >> 20} MiB")
            _apply(layer, tree, unpacker)
        unpacker.finish()
    except OutOfTreeError as error:
        raise ImageError(f"a layer takes something away that is not in the tree ({error})") from error
    except OSError as error:
        if error.errno in NO_SPACE:
            raise DiskFullError(
                f"the disk is full ({error.strerror})", "an OCI image needs room for its layers, too"
            ) from error
        raise DiskError(f"the image's layers: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            remove(tree.folder(()), SPOOL)
        tree.forget()
    return unpacker.files


def _spool(archive: TarReader, tree: Tree) -> bytes:
    """Every part into the folder, under its digest; returns index.json."""
    documents: dict[Parts, bytes] = {}
    for member in archive.members():
        parts = clean_path(member.name, "its name")
        if member.kind is Kind.FOLDER:
            continue
        if member.kind is not Kind.FILE:
            raise ImageError(f"the OCI archive holds {member.shown}, a {member.kind.value}")
        if parts in DOCUMENTS:
            documents[parts] = _small(member, archive)
        elif parts[:2] == (b"blobs", b"sha256") and len(parts) == 3 and re.fullmatch(rb"[0-9a-f]{64}", parts[2]):
            _keep(member, archive, tree, parts[2])
    if (b"index.json",) not in documents or (b"oci-layout",) not in documents:
        raise ImageError(
            "the archive is no OCI image (index.json and oci-layout are missing)",
            "make one: skopeo copy docker://NAME oci-archive:FILE, or docker-archive:OLD oci-archive:FILE",
        )
    return documents[b"index.json",]


def _small(member: Member, archive: TarReader) -> bytes:
    if member.size > MAX_DOCUMENT_BYTES:
        raise ImageError(f"the OCI archive's {member.shown} has {member.size} bytes")
    return b"".join(piece for _, piece in archive.content(member))


def _keep(member: Member, archive: TarReader, tree: Tree, digest: bytes) -> None:
    folder = tree.folder((SPOOL,), make=True)
    remove(folder, digest)
    found = hashlib.sha256()
    with os.fdopen(os.open(digest, FILE_FLAGS, 0o600, dir_fd=folder), "wb") as file:
        for _, piece in archive.content(member):
            found.update(piece)
            file.write(piece)
    if found.hexdigest().encode() != digest:
        raise ImageError(
            f"the OCI archive's {member.shown} has the digest {found.hexdigest()}", "was the archive made and uploaded whole?"
        )


def _open(tree: Tree, digest: str) -> BinaryIO:
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(digest, flags, dir_fd=tree.folder((SPOOL,))), "rb")
    except FileNotFoundError:
        raise ImageError(f"the OCI archive lacks the part sha256:{digest} that it names") from None


def _document(tree: Tree, digest: str) -> bytes:
    with _open(tree, digest) as file:
        return file.read(MAX_DOCUMENT_BYTES + 1)


def _apply(layer: Layer, tree: Tree, unpacker: Unpacker) -> None:
    def copy(target: BinaryIO) -> None:
        with _open(tree, layer.sha256) as file:
            while piece := file.read(COPY_BYTES):
                target.write(piece)

    with open_stream(copy, layer.compression) as stream:
        archive = TarReader(stream.read)
        made: set[Parts] = set()
        for member in archive.members():
            parts = clean_path(member.name, "its name")
            if parts and parts[-1] == OPAQUE:
                _empty(tree, parts[:-1], made)
            elif parts and parts[-1].startswith(WHITEOUT):
                _take_away(tree, (*parts[:-1], parts[-1].removeprefix(WHITEOUT)), made)
            elif parts[:1] == (SPOOL,):
                raise ImageError(f"a layer holds {member.shown}, a name that is used here")
            else:
                made.add(unpacker.put(member, archive))
    remove(tree.folder((SPOOL,)), layer.sha256.encode())


def _take_away(tree: Tree, parts: Parts, made: set[Parts]) -> None:
    """A whiteout: what lower layers had under this name. `.` and `..` are no names."""
    if parts[-1] in (b"", b".", b"..") or parts in made:
        raise ImageError(f"a layer takes away {b'/'.join(parts)[:200]!a}, which is none of a lower layer's")
    with suppress(FileNotFoundError, NotADirectoryError):
        remove(tree.folder(parts[:-1], absolute=False), parts[-1])
        tree.forget()


def _empty(tree: Tree, parts: Parts, made: set[Parts]) -> None:
    """An opaque folder: what lower layers had in it goes, what this layer made stays, whichever comes first."""
    with suppress(FileNotFoundError, NotADirectoryError):
        with os.scandir(tree.folder(parts, absolute=False)) as found:
            children = [((*parts, os.fsencode(entry.name)), entry.is_dir(follow_symlinks=False)) for entry in found]
        for child, is_folder in children:
            if child == (SPOOL,):
                continue
            if not any(one[: len(child)] == child for one in made):
                remove(tree.folder(parts, absolute=False), child[-1])
                tree.forget()
            elif is_folder:
                _empty(tree, child, made)
