"""Everything of the agent that parses foreign bytes, each as a function of bytes; and the one family of errors it may raise.

Used by hypothesis (test_targets.py) and by the coverage-guided fuzzer (fuzz.py), which also runs where there is no pytest.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bootpilot_agent import sysfs
from bootpilot_agent.boot_files import extlinux, grub, kernels, loader_entries
from bootpilot_agent.boot_files.entry import BootFileError
from bootpilot_agent.boot_files.fstab import find_mount
from bootpilot_agent.card_settings import read_card
from bootpilot_agent.cpus import read_cpu
from bootpilot_agent.dhcp import NOT_TAKEN, DhcpError, parse_event, parse_named_servers, parse_offer
from bootpilot_agent.dhcp_packet import Question, read_offer, to_dump
from bootpilot_agent.earlier_note import read_earlier_note
from bootpilot_agent.errors import PlanError
from bootpilot_agent.events import events_from_json
from bootpilot_agent.evidence import EvidenceKind, grade_evidence
from bootpilot_agent.fields import FieldError
from bootpilot_agent.flat_tree import FlatTreeError, read_tree, write_tree
from bootpilot_agent.identity import read_evidence
from bootpilot_agent.install_order import InstallOrder
from bootpilot_agent.kernel_command_line import own_words, read_command_line
from bootpilot_agent.kernel_image import SIZES, check_kernel_head
from bootpilot_agent.mark import Mark
from bootpilot_agent.partition_table import read_partitions
from bootpilot_agent.plan import Plan, Report, problem_detail
from bootpilot_agent.settings import merge

CORPORA = Path(__file__).parents[1] / "data/corpora"
DISK_BYTES = 64 << 20


@dataclass(frozen=True)
class Target:
    """`parse` takes any bytes and may raise `errors`, nothing else; every call ends soon."""

    parse: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = ()


def run_target(target: Target, content: bytes) -> None:
    """Raises whatever is no error of the target's own."""
    with suppress(*target.errors):
        target.parse(content)


@cache
def scratch() -> Path:
    """A folder for parsers that read files; it goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="bootpilot-fuzzing-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@dataclass(frozen=True)
class OneFile:
    """A partition with one file, for the readers of boot files."""

    path: str
    content: bytes

    def read(self, path: str, most: int = 1 << 20) -> bytes:
        if path != self.path or len(self.content) > most:
            raise BootFileError(f"{path}: not there")
        return self.content

    def names(self, folder: str) -> list[str]:
        inside, _, name = self.path.rpartition("/")
        return [name] if folder.rstrip("/") == inside else []

    def is_file(self, path: str) -> bool:
        return path == self.path


def _settings(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    own_words(text)
    merge(read_command_line(text), read_card(content, {"ca.pem": content}))


def _dhcp(content: bytes) -> None:
    event = parse_event(content)
    if event.has_lease:
        parse_offer(event)


def _dhcp_offer(content: bytes) -> None:
    """An answer to the question that is put to other DHCP servers."""
    values = read_offer(content, Question(0x01020304, b"\x52\x54\0\x12\x34\1", b"\0serial", "bootpilot", b""))
    if values is not None:
        event = parse_event(to_dump(NOT_TAKEN, values))
        parse_named_servers(event)
        parse_offer(event)


def _device_tree_properties(content: bytes) -> None:
    """As /proc/device-tree shows them: a serial number, a model, a list of names, a MAC, each of any bytes."""
    root = scratch() / "properties"
    base = root / "sys/firmware/devicetree/base"
    base.mkdir(parents=True, exist_ok=True)
    for name in ("serial-number", "model", "compatible"):
        (base / name).write_bytes(content)
    read_evidence(root)
    for text in (sysfs.clean_text(content), *sysfs.read_strings(base / "compatible")):
        grade_evidence(EvidenceKind.DT_SERIAL, text, "/here")


def _cpu(content: bytes) -> None:
    root = scratch() / "cpu"
    (root / "proc").mkdir(parents=True, exist_ok=True)
    (root / "proc/cpuinfo").write_bytes(content)
    read_cpu(root)


def _earlier_note(content: bytes) -> None:
    root = scratch() / "note"
    (root / "bootpilot").mkdir(parents=True, exist_ok=True)
    (root / "bootpilot/boot.json").write_bytes(content)
    read_earlier_note(root)


def _partitions(content: bytes) -> None:
    read_partitions(lambda offset, size: content[offset : offset + size], DISK_BYTES)


def _kernel(content: bytes) -> None:
    for arch in SIZES:
        with suppress(PlanError):
            check_kernel_head(content[:4096], len(content), arch)


TARGETS = {
    "plan": Target(lambda content: Plan.from_json(content, "arm64"), (FieldError,)),
    "report": Target(Report.from_json, (FieldError,)),
    "problem": Target(problem_detail),
    "events": Target(events_from_json, (FieldError,)),
    "install-order": Target(InstallOrder.from_json, (FieldError,)),
    "mark": Target(Mark.from_bytes, (FieldError,)),
    "mark-file": Target(Mark.from_file, (FieldError,)),
    "boot-json": Target(_earlier_note),
    "settings": Target(_settings),
    "dhcp": Target(_dhcp, (DhcpError,)),
    "dhcp-offer": Target(_dhcp_offer, (DhcpError,)),
    "device-tree-properties": Target(_device_tree_properties),
    "device-tree": Target(lambda content: write_tree(read_tree(content)), (FlatTreeError,)),
    "cpuinfo": Target(_cpu),
    "partitions": Target(_partitions),
    "kernel": Target(_kernel),
    "extlinux": Target(lambda content: extlinux.read_entries(OneFile("/x.conf", content), "/x.conf"), (BootFileError,)),
    "loader-entry": Target(
        lambda content: loader_entries.read_entries(OneFile("/e/x.conf", content), "/e", "arm64"), (BootFileError,)
    ),
    "grub": Target(lambda content: grub.read_menu(OneFile("/grub.cfg", content), "/grub.cfg"), (BootFileError,)),
    "grubenv": Target(lambda content: grub.read_environment(OneFile("/grubenv", content), "/grubenv"), (BootFileError,)),
    "fstab": Target(lambda content: find_mount(OneFile("/etc/fstab", content), "/boot"), (BootFileError,)),
    "kernel-cmdline": Target(
        lambda content: kernels.read_command_line(OneFile("/etc/kernel/cmdline", content)), (BootFileError,)
    ),
}


def corpus(name: str) -> list[bytes]:
    """What is kept for a target: real files, and what once broke it."""
    return [path.read_bytes() for path in sorted((CORPORA / name).iterdir())]
