"""Root file systems as tar archives, made with Python's own tarfile, and what packs them. Owners are those of a real system."""

import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.kernels import bzimage

SYSTEM_TIME_S = 1_600_000_000


@dataclass
class Archive:
    """Members in order; `bytes()` is the archive."""

    members: list[tuple[tarfile.TarInfo, bytes]] = field(default_factory=list)
    format: int = tarfile.PAX_FORMAT

    def folder(self, name: str, mode: int = 0o755, **more: Any) -> "Archive":
        return self.add(name, tarfile.DIRTYPE, mode=mode, **more)

    def file(self, name: str, content: bytes | str = b"", mode: int = 0o644, **more: Any) -> "Archive":
        data = content.encode() if isinstance(content, str) else content
        return self.add(name, tarfile.REGTYPE, data, mode=mode, size=len(data), **more)

    def link(self, name: str, target: str) -> "Archive":
        return self.add(name, tarfile.SYMTYPE, linkname=target, mode=0o777)

    def hard_link(self, name: str, target: str) -> "Archive":
        return self.add(name, tarfile.LNKTYPE, linkname=target)

    def device(self, name: str, kind: bytes, major: int, minor: int) -> "Archive":
        return self.add(name, kind, devmajor=major, devminor=minor, mode=0o666)

    def add(self, name: str, kind: bytes, data: bytes = b"", **more: Any) -> "Archive":
        info = tarfile.TarInfo(name)
        info.type, info.mtime = kind, SYSTEM_TIME_S
        for key, value in more.items():
            setattr(info, key, value)
        self.members.append((info, data))
        return self

    def bytes(self) -> bytes:
        """With exactly the names that were given, as a hostile maker would write them."""
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=self.format) as archive:
            for info, data in self.members:
                archive.addfile(info, io.BytesIO(data))
        return raw.getvalue()


def small_system() -> Archive:
    """As little as boots, with a kernel and an initrd, and what a debootstrapped one has in /etc."""
    archive = Archive()
    for name in ("./", "./boot", "./dev", "./etc", "./etc/ssh", "./etc/systemd", "./etc/initramfs-tools", "./home", "./proc"):
        archive.folder(name)
    for name in ("./root", "./run", "./sys", "./usr", "./usr/bin", "./usr/lib", "./usr/lib/systemd", "./usr/sbin", "./var"):
        archive.folder(name)
    archive.folder("./tmp", 0o1777)
    archive.file("./boot/vmlinuz-6.1.0-1-amd64", bzimage())
    archive.file("./boot/initrd.img-6.1.0-1-amd64", b"an initrd of the system")
    archive.file("./etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    archive.file("./etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    archive.file("./etc/group", "root:x:0:\nsudo:x:27:\nshadow:x:42:\n")
    archive.file("./etc/shadow", "root:*:19000:0:99999:7:::\n", 0o640, gid=42)
    archive.file("./etc/hosts", "127.0.0.1 localhost\n::1 ip6-localhost\n")
    archive.file("./etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444)
    archive.file("./etc/ssh/ssh_host_rsa_key", "a key that every copy of the image would share\n", 0o600)
    archive.file("./usr/lib/systemd/systemd-networkd", b"x", 0o755)
    archive.file("./usr/bin/passwd", b"setuid", 0o4755)
    archive.link("./lib", "usr/lib")
    archive.link("./bin", "usr/bin")
    return archive


def pack(raw: bytes, compression: str) -> bytes:
    """As the real program does, where Python has none."""
    if compression == "gz":
        return gzip.compress(raw, mtime=0)
    if compression == "xz":
        return lzma.compress(raw)
    if compression == "zst":
        return subprocess.run(["zstd", "-q", "-c"], input=raw, capture_output=True, check=True).stdout
    return raw


def oci_archive(layers: list[tuple[bytes, str]], arch: str = "amd64", variant: str = "", index_first: bool = False) -> bytes:
    """As `skopeo copy ... oci-archive:` writes it: the blobs, then index.json. Each layer with gz, zst or none."""
    blobs: dict[str, bytes] = {}

    def keep(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    kinds = {"none": "tar", "gz": "tar+gzip", "zst": "tar+zstd"}
    rows = [
        {"mediaType": f"application/vnd.oci.image.layer.v1.{kinds[compression]}", **keep(pack(raw, compression))}
        for raw, compression in layers
    ]
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **keep(_json({"architecture": arch, "os": "linux"}))}
    manifest = {"schemaVersion": 2, "config": config, "layers": rows}
    platform = {"architecture": arch, "os": "linux", **({"variant": variant} if variant else {})}
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", **keep(_json(manifest)), "platform": platform}
    index = _json({"schemaVersion": 2, "manifests": [entry]})
    archive = Archive().folder("blobs/").folder("blobs/sha256/")
    if index_first:
        archive.file("index.json", index)
    for digest in sorted(blobs):
        archive.file(f"blobs/sha256/{digest}", blobs[digest])
    if not index_first:
        archive.file("index.json", index)
    return archive.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}').bytes()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
