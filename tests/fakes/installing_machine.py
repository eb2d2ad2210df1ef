"""A machine on which bootpilot-install runs in process: disks are sparse files, their partitions loop devices.

The kernel's part is played here (reading a partition table, sysfs, kexec); sfdisk, mke2fs, blkid, mount, zstd and the
installer's own code are what a board has. Needs root, as the installer does.
"""

import io
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bootpilot_agent.boot_note import BOOT_JSON
from bootpilot_agent.console import Console
from bootpilot_agent.devices import Devices
from bootpilot_agent.fields import Json
from bootpilot_agent.install_order import ORDER_PATH
from bootpilot_agent.partition_table import read_partitions
from bootpilot_agent.report import Build
from bootpilot_agent.run import Completed, run
from bootpilot_install.block_device import BlockDevice
from bootpilot_install.board import read_job, run_steps
from bootpilot_install.disk_choice import Patience
from bootpilot_install.partition_nodes import KernelNodes
from bootpilot_install.steps import BoardSteps, Place
from tests.fakes.board import Ended, FakeClock, LoopbackNetwork, NoDrivers, RecordingRun, RecordingWatchdog, candidate

SECTOR = 512
CARD = "0badcafe-01"
NODE_ID = "6f8f57f2-7a5a-4b6d-9c1f-0d4c53f1a001"
INSTALL_ID = "1f0f57f2-7a5a-4b6d-9c1f-0d4c53f1a0ff"
BOOT_ID = "0d4c53f1-7a5a-4b6d-9c1f-6f8f57f2a001"
MEMINFO = "MemTotal:        1012345 kB\nMemFree:          800000 kB\nMemAvailable:     700000 kB\n"
# Where a disk of each kind stands in sysfs, below /sys/devices.
BUSES = {
    "sata": "pci0000:00/0000:00:1f.2/ata{index}/host{index}/target0:0:0/0:0:0:0/block/{name}",
    "usb": "pci0000:00/0000:00:14.0/usb1/1-{index}/1-{index}:1.0/host9/target9:0:0/9:0:0:0/block/{name}",
    "nvme": "pci0000:00/0000:00:04.0/nvme/nvme{index}/{name}",
    "mmc": "platform/soc/mmc_host/mmc{index}/mmc{index}:0001/block/{name}",
}


@dataclass
class RealRun:
    """Every program is the real one, but for kexec and what ends the machine."""

    kexec: RecordingRun = field(default_factory=RecordingRun)

    def __call__(self, argv: Sequence[str], *, timeout_s: float, check: bool = True) -> Completed:
        if argv[0] in ("kexec", "reboot", "poweroff"):
            return self.kexec(argv, timeout_s=timeout_s, check=check)
        return run(argv, timeout_s=timeout_s, check=check)


class LoopNodes(KernelNodes):
    """The kernel's part: reads the table of a file, and gives each partition a device node and its folder in sysfs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._root = root
        self._loops: dict[Path, str] = {}

    def reread(self, device: BlockDevice) -> dict[int, Path]:
        name = device.path.name
        self.forget(name)
        table = device.partitions()
        for row in table:
            partition = f"{name}{'p' if name[-1].isdigit() else ''}{row.number}"
            place = ["--offset", str(row.start_bytes), "--sizelimit", str(row.size_bytes)]
            loop = told("losetup", "--show", "--find", *place, str(device.path.resolve())).strip()
            node = self._root / "dev" / partition
            node.symlink_to(loop)
            self._loops[node] = loop
            folder = self._root / "sys/block" / name / partition
            folder.mkdir()
            (folder / "partition").write_text(f"{row.number}\n")
            (folder / "start").write_text(f"{row.start_bytes // SECTOR}\n")
            (folder / "size").write_text(f"{row.size_bytes // SECTOR}\n")
        return self.wait_for(name, table)

    def forget(self, disk: str = "") -> None:
        """Of one disk, or of all."""
        for node, loop in list(self._loops.items()):
            if node.name.startswith(disk):
                told("losetup", "--detach", loop)
                del self._loops[node]
                node.unlink()
                shutil.rmtree(self._root / "sys/block" / disk / node.name) if disk else None


@dataclass
class InstallingMachine:
    """Use as a context manager: what it mounts and attaches is gone afterwards."""

    folder: Path
    server: str
    arch: str = "amd64"
    note: dict[str, Json] = field(default_factory=dict)
    console_text: io.StringIO = field(default_factory=io.StringIO)
    run: RealRun = field(default_factory=RealRun)
    clock: FakeClock = field(default_factory=FakeClock)
    watchdog: RecordingWatchdog = field(default_factory=RecordingWatchdog)
    patience: Patience = field(default_factory=lambda: Patience(0.0, 0.0))

    def __post_init__(self) -> None:
        self.root = self.folder / "root"
        self.target = self.folder / "target"
        self.network = LoopbackNetwork((candidate(),), self.clock)
        self.nodes = LoopNodes(self.root)
        self._write("proc/cmdline", "console=tty0 console=ttyS0,115200 quiet\n")
        self._write("proc/meminfo", MEMINFO)
        self._write("sys/class/dmi/id/product_serial", "SN-0042\n")
        self._write("sys/kernel/kexec_loaded", "0\n")
        (self.root / "dev").mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if line.split()[1].startswith(str(self.folder)):
                told("umount", line.split()[1])
        self.nodes.forget()

    def add_disk(
        self, name: str = "sda", size_mib: int = 300, bus: str = "sata", model: str = "A DISK", serial: str = "S1"
    ) -> Path:
        """A blank one; its file."""
        file = self.folder / f"{name}.img"
        with file.open("wb") as disk:
            disk.truncate(size_mib << 20)
        index = 1 + len(list((self.root / "dev").iterdir()))
        place = self.root / "sys/devices" / BUSES[bus].format(name=name, index=index)
        (place / "queue").mkdir(parents=True)
        (place / "device").mkdir()
        (place / "size").write_text(f"{size_mib << 11}\n")
        (place / "ro").write_text("0\n")
        (place / "queue/logical_block_size").write_text(f"{SECTOR}\n")
        (place / "device" / ("name" if bus == "mmc" else "model")).write_text(f"{model}\n")
        (place / "device/vpd_pg80").write_bytes(bytes([0, 0x80, 0, len(serial)]) + serial.encode())
        (place / "device/serial").write_text(f"{serial}\n")
        links = self.root / "sys/block"
        links.mkdir(parents=True, exist_ok=True)
        (links / name).symlink_to(os.path.relpath(place, links))
        (self.root / "dev" / name).symlink_to(file)
        return file

    def install(self, order: dict[str, Json]) -> str:
        """How it ended: `kexec -e`, or `exit code N`."""
        note = {
            "version": 1, "node_id": NODE_ID, "boot_id": BOOT_ID, "server": self.server, "server_source": "the card",
            "ca": None, "token": "token-of-this-boot", "install_id": INSTALL_ID, "card_partuuid": CARD, "card_cid": None,
            "card_path": None, "loader_builds": [], "simulated": False, "client_id": "00534e31", "interface": "eth0",
            "mac": "52:54:00:12:34:56", "method": "dhcp", "address": "10.0.2.15/24", "gateway": "10.0.2.2", "dns": ["10.0.2.3"],
            "vlan": None, "watchdog": "stop", "profile": "lamp", "loader_settings": [], **self.note,
        }  # fmt: skip
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in note.items() if value != "absent"]
        self._write(BOOT_JSON, "{\n" + ",\n".join(lines) + "\n}\n")
        self._write(ORDER_PATH.lstrip("/"), json.dumps(order))
        try:
            return f"exit code {run_steps(self.steps())}"
        except Ended as ended:
            return ended.how

    def steps(self) -> BoardSteps:
        devices = Devices(
            root=self.root,
            folder=self.folder / "payload",
            console=Console(self.console_text),
            drivers=NoDrivers(),
            network=self.network,
            find_card=lambda partuuid, *, wait_s, poll: None,
            open_watchdog=self.watchdog.open,
            run=self.run,
            sync=lambda: None,
            chance=lambda: 0.0,
            clock=self.clock,
        )
        place = Place(self.target, self.nodes, self.patience)
        return BoardSteps(devices, Build(self.arch, "0.1.0", "0123456789abcdef", 1_700_000_000), place, read_job(self.root))

    @property
    def console(self) -> str:
        return self.console_text.getvalue()

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class MountedPartition:
    """One partition of a disk's file, mounted read-only, to look at what was installed."""

    def __init__(self, file: Path, number: int, point: Path) -> None:
        with file.open("rb") as disk:
            table = read_partitions(lambda offset, size: os.pread(disk.fileno(), size, offset), file.stat().st_size)
        row = next(row for row in table if row.number == number)
        place = ["--offset", str(row.start_bytes), "--sizelimit", str(row.size_bytes)]
        self._loop = told("losetup", "--show", "--find", "--read-only", *place, str(file)).strip()
        self._point = point

    def __enter__(self) -> Path:
        self._point.mkdir(exist_ok=True)
        told("mount", "-o", "ro,noload", self._loop, str(self._point))
        return self._point

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        told("umount", str(self._point))
        told("losetup", "--detach", self._loop)


def told(*argv: str, given: bytes | None = None) -> str:
    """What a real program prints."""
    return subprocess.run(argv, check=True, capture_output=True, input=given).stdout.decode()
