"""Writes the files of an image into the new root: a tar archive, or the layers of an OCI image."""

from collections.abc import Callable
from pathlib import Path

from bootpilot_agent.install_order import Image, ImageKind
from bootpilot_install.elf import check_arch
from bootpilot_install.oci_unpacking import unpack_oci
from bootpilot_install.stream import Fetch, open_stream
from bootpilot_install.tree import Tree
from bootpilot_install.unpacking import Unpacker


def write_files(image: Image, fetch: Fetch, target: Path, arch: str, say: Callable[[str], None]) -> None:
    """Fetched, checked and unpacked at once. Raises FetchError, VerifyError, ImageError, DiskError."""
    with Tree(target) as tree:
        with open_stream(fetch, image.compression, image.artifact.unpacked_bytes) as stream:
            if image.kind is ImageKind.OCI:
                files = unpack_oci(stream.read, tree, arch, say)
            else:
                unpacker = Unpacker(tree, say)
                unpacker.unpack(stream.read)
                unpacker.finish()
                files = unpacker.files
        check_arch(tree, arch)
    say(f"image: {files} files written")
