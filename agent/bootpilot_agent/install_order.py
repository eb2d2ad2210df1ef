"""THE INSTALLER'S ORDER: what the server wants on a board's disk, as `ORDER_PATH` in the installer's root. No I/O here.

The server writes it from a profile's [install] and the agent verifies it like every file of a plan; `bootpilot-install` reads
it beside the agent's boot.json, which says who the board is, where the server is and which disk is the card.
"""

from dataclasses import dataclass
from enum import StrEnum

from bootpilot_agent.artifact import Artifact
from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.install_system import SystemOrder
from bootpilot_agent.inventory import Transport
from bootpilot_agent.mark import MAX_AUTONOMOUS_S

ORDER_PATH = "/etc/bootpilot/install.json"
ORDER_VERSION = 1
MAX_ORDER_BYTES = 1 << 20
MAX_PARTITIONS = 16

# A card is no place for a system unless the order names it, and the boot medium never is.
DEFAULT_TRANSPORTS = (Transport.SATA, Transport.USB, Transport.NVME)
MOUNT_PATTERN = r"|(/|(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)+)"
# As fnmatch reads it: * ? [a-z].
GLOB_PATTERN = r"[^\x00-\x1f\x7f]{0,256}"


class ImageKind(StrEnum):
    """What the image is: the files of a root file system, the layers of a container image, or every block of a disk."""

    TAR = "tar"
    OCI = "oci"
    DISK = "disk"


class Compression(StrEnum):
    """How the image is packed. An OCI archive's layers have their own; the archive itself is then `none`."""

    NONE = "none"
    GZIP = "gz"
    XZ = "xz"
    ZSTD = "zst"


class FileSystem(StrEnum):
    """What a partition is made to hold."""

    EXT4 = "ext4"
    VFAT = "vfat"
    SWAP = "swap"


@dataclass(frozen=True)
class Image:
    """The root file system or disk, as it is fetched. `block_map` lists the parts of a disk image that hold anything."""

    kind: ImageKind
    compression: Compression
    artifact: Artifact
    block_map: Artifact | None = None

    def to_json(self) -> dict[str, Json]:
        known: dict[str, Json] = {"kind": self.kind, "compression": self.compression, "artifact": self.artifact.to_json()}
        return {**known, "block_map": self.block_map.to_json()} if self.block_map else known

    @classmethod
    def from_fields(cls, fields: Fields) -> "Image":
        kind = fields.choice("kind", ImageKind)
        if fields.has("block_map") and kind is not ImageKind.DISK:
            raise FieldError(fields.name_of("block_map"), "nothing unless kind is disk", kind)
        return cls(
            kind=kind,
            compression=fields.choice("compression", Compression),
            artifact=Artifact.from_fields(fields.child("artifact")),
            block_map=Artifact.from_fields(fields.child("block_map")) if fields.has("block_map") else None,
        )


@dataclass(frozen=True)
class Guard:
    """Which disk may be written: exactly one that fits all of this, and never the boot medium.

    `model`, `serial` and `path` (below /sys) are globs; "" fits any. A disk that holds data is taken only with `wipe`, or where
    an earlier install of this node laid it out.
    """

    transports: tuple[Transport, ...] = DEFAULT_TRANSPORTS
    min_bytes: int = 0
    model: str = ""
    serial: str = ""
    path: str = ""
    wipe: bool = False

    def to_json(self) -> dict[str, Json]:
        return {
            "transports": list(self.transports),
            "min_bytes": self.min_bytes,
            "model": self.model,
            "serial": self.serial,
            "path": self.path,
            "wipe": self.wipe,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "Guard":
        transports = fields.texts("transports", longest=16)
        if not transports or not set(transports) <= set(Transport):
            raise FieldError(fields.name_of("transports"), "one or more of " + ", ".join(Transport), list(transports))
        return cls(
            transports=tuple(Transport(name) for name in transports),
            min_bytes=fields.number("min_bytes"),
            model=fields.text("model", pattern=GLOB_PATTERN, expected="a pattern of at most 256 characters"),
            serial=fields.text("serial", pattern=GLOB_PATTERN, expected="a pattern of at most 256 characters"),
            path=fields.text("path", pattern=GLOB_PATTERN, expected="a pattern of at most 256 characters"),
            wipe=fields.flag("wipe"),
        )


@dataclass(frozen=True)
class PartitionOrder:
    """One partition besides the mark's. `size_mib` is 0 for the one that takes what is left; `mount` is "" for swap."""

    mount: str
    file_system: FileSystem
    size_mib: int = 0
    label: str = ""

    def to_json(self) -> dict[str, Json]:
        return {"mount": self.mount, "fs": self.file_system, "size_mib": self.size_mib, "label": self.label}

    @classmethod
    def from_fields(cls, fields: Fields) -> "PartitionOrder":
        return cls(
            mount=fields.text("mount", most=256, pattern=MOUNT_PATTERN, expected="an absolute path"),
            file_system=fields.choice("fs", FileSystem),
            size_mib=fields.number("size_mib", most=1 << 30),
            # FAT's limit is the shortest: 11 bytes (ext4 16, swap 15).
            label=fields.text("label", pattern=r"[A-Za-z0-9_.-]{0,11}", expected="at most 11 letters, digits, _ . -"),
        )


# What a disk gets where the order names no partitions.
ROOT_ONLY = (PartitionOrder("/", FileSystem.EXT4),)


@dataclass(frozen=True)
class InstallOrder:
    """Everything `bootpilot-install` is to do. `partitions` is () for a disk image, which brings its own."""

    image: Image
    guard: Guard
    partitions: tuple[PartitionOrder, ...]
    system: SystemOrder
    autonomous_after_s: int | None = None

    def to_json(self) -> dict[str, Json]:
        return {
            "version": ORDER_VERSION,
            "image": self.image.to_json(),
            "disk": self.guard.to_json(),
            "partitions": [partition.to_json() for partition in self.partitions],
            "system": self.system.to_json(),
            "autonomous_after_s": self.autonomous_after_s,
        }

    @classmethod
    def from_json(cls, raw: bytes) -> "InstallOrder":
        """`ORDER_PATH` as read. Raises FieldError that names the field."""
        fields = Fields.from_bytes(raw, MAX_ORDER_BYTES)
        fields.version(ORDER_VERSION)
        image = Image.from_fields(fields.child("image"))
        partitions = tuple(PartitionOrder.from_fields(item) for item in fields.children("partitions", most=MAX_PARTITIONS))
        check_layout(image.kind, partitions)
        return cls(
            image=image,
            guard=Guard.from_fields(fields.child("disk")),
            partitions=partitions,
            system=SystemOrder.from_fields(fields.child("system")),
            autonomous_after_s=fields.number_or_none("autonomous_after_s", most=MAX_AUTONOMOUS_S),
        )


def check_layout(kind: ImageKind, partitions: tuple[PartitionOrder, ...]) -> None:
    """Raises FieldError unless there is one root, each mount once, and one partition at most that takes the rest."""
    name, mounts = "partitions", [partition.mount for partition in partitions if partition.mount]
    if kind is ImageKind.DISK:
        if partitions:
            raise FieldError(name, "none: a disk image brings its own", mounts)
        return
    if mounts.count("/") != 1 or len(set(mounts)) != len(mounts):
        raise FieldError(name, 'one with mount = "/", and each other mount once', mounts)
    if sum(partition.size_mib == 0 for partition in partitions) > 1:
        raise FieldError(name, "one at most without a size, which takes what is left", mounts)
    for partition in partitions:
        if (partition.file_system is FileSystem.SWAP) is not (partition.mount == ""):
            raise FieldError(f"{name}.mount", 'a path, but "" for swap', partition.mount)
        if partition.mount == "/" and partition.file_system is not FileSystem.EXT4:
            raise FieldError(f"{name}.fs", "ext4 for the root", partition.file_system)
