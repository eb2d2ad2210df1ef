"""What hardware a board has, as the report tells it. No I/O here; `hardware.py` reads it from /proc and /sys."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from bootpilot_agent.fields import Fields, Json
from bootpilot_agent.mark import Mark

MAX_NICS = 32
MAX_DISKS = 64


class Transport(StrEnum):
    """How a disk is attached, told by its sysfs path; /sys/block/*/removable does not tell a card from a disk."""

    MMC = "mmc"
    SATA = "sata"
    USB = "usb"
    NVME = "nvme"
    VIRTIO = "virtio"
    SCSI = "scsi"
    OTHER = "other"


@dataclass(frozen=True)
class Nic:
    """One Ethernet interface. `mac` is the one in use; `addr_assign_type` is the kernel's (0 permanent, 1 random, 3 set)."""

    name: str
    mac: str
    addr_assign_type: int
    driver: str
    carrier: bool | None
    speed_mbps: int | None
    path: str

    def to_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> "Nic":
        return cls(
            name=fields.text("name", most=64),
            mac=fields.text("mac", most=64),
            addr_assign_type=fields.number("addr_assign_type", most=255),
            driver=fields.text("driver", most=64),
            carrier=fields.flag_or_none("carrier"),
            speed_mbps=fields.number_or_none("speed_mbps", most=10_000_000),
            path=fields.text("path", most=512),
        )


@dataclass(frozen=True)
class Disk:
    """One block device that could hold a system. `boot_medium` marks the card, which nothing may ever write. `mark` is that of
    an installation, if a valid one is on it; agents without the feature `mark` do not look.
    """

    name: str
    size_bytes: int
    transport: Transport
    model: str
    serial: str
    boot_medium: bool
    path: str
    mark: Mark | None = None

    def to_json(self) -> dict[str, Json]:
        known: dict[str, Json] = asdict(replace(self, mark=None))
        known.pop("mark")
        return {**known, "mark": self.mark.to_json()} if self.mark else known

    @classmethod
    def from_fields(cls, fields: Fields) -> "Disk":
        return cls(
            name=fields.text("name", most=64),
            size_bytes=fields.number("size_bytes"),
            transport=fields.choice("transport", Transport),
            model=fields.text("model", most=128),
            serial=fields.text("serial", most=128),
            boot_medium=fields.flag("boot_medium"),
            path=fields.text("path", most=512),
            mark=Mark.from_fields(fields.child("mark")) if fields.has("mark") else None,
        )


@dataclass(frozen=True)
class Board:
    """Model and `compatible` list (device tree; on DMI machines vendor and product)."""

    model: str
    compatible: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        return {"model": self.model, "compatible": list(self.compatible)}

    @classmethod
    def from_fields(cls, fields: Fields) -> "Board":
        return cls(model=fields.text("model", most=256), compatible=fields.texts("compatible", longest=128))


@dataclass(frozen=True)
class Cpu:
    """`possible` counts what the firmware describes, `online` what runs now (one, with the loader's nr_cpus=1).

    `enable_method` is how firmware starts a CPU (psci, spin-table, ...; "" where it does not say). `hotplug`: the kernel can
    take a CPU away, which kexec needs for all but one; None where only one runs, so that it cannot be told.
    """

    model: str
    possible: int
    online: int
    enable_method: str = ""
    hotplug: bool | None = None

    def to_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> "Cpu":
        return cls(
            model=fields.text("model", most=256),
            possible=fields.number("possible", most=65536),
            online=fields.number("online", most=65536),
            enable_method=fields.text_or_none("enable_method", most=64) or "",
            hotplug=fields.flag_or_none("hotplug"),
        )


@dataclass(frozen=True)
class KexecCapability:
    """The two system calls that this kernel has, and its lockdown mode: none, integrity, confidentiality or "" (unknown).

    `trouble` says why the jump would fail on this board all the same; "" where nothing is known against it.
    """

    load: bool
    file_load: bool
    lockdown: str
    trouble: str = ""

    @property
    def objection(self) -> str:
        """Why this board cannot be given a payload, as a sentence for a person; "" if it can."""
        if not (self.load or self.file_load):
            return "the loader kernel of this board has no kexec" + (
                f" (locked down: {self.lockdown})" if self.lockdown not in ("", "none") else ""
            )
        return self.trouble

    def to_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> "KexecCapability":
        return cls(
            load=fields.flag("load"),
            file_load=fields.flag("file_load"),
            lockdown=fields.text("lockdown", most=32),
            trouble=fields.text_or_none("trouble", most=500) or "",
        )


@dataclass(frozen=True)
class Inventory:
    """The whole board: what the report carries besides evidence and network."""

    board: Board
    cpu: Cpu
    memory_bytes: int
    nics: tuple[Nic, ...]
    disks: tuple[Disk, ...]
    kexec: KexecCapability

    def to_json(self) -> dict[str, Json]:
        return {
            "board": self.board.to_json(),
            "cpu": self.cpu.to_json(),
            "memory_bytes": self.memory_bytes,
            "nics": [nic.to_json() for nic in self.nics],
            "disks": [disk.to_json() for disk in self.disks],
            "kexec": self.kexec.to_json(),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "Inventory":
        """Raises FieldError."""
        return cls(
            board=Board.from_fields(fields.child("board")),
            cpu=Cpu.from_fields(fields.child("cpu")),
            memory_bytes=fields.number("memory_bytes"),
            nics=tuple(Nic.from_fields(item) for item in fields.children("nics", most=MAX_NICS)),
            disks=tuple(Disk.from_fields(item) for item in fields.children("disks", most=MAX_DISKS)),
            kexec=KexecCapability.from_fields(fields.child("kexec")),
        )
