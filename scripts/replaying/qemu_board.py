"""What QEMU is given so that it is the recorded board, as far as it can be: identity, memory, adapters, card. No I/O here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from bootpilot_agent.card_settings import CARD_FILE, read_card
from bootpilot_agent.fields import UUID_PATTERN, Json
from bootpilot_agent.recording_lines import FileKind
from scripts.lab.guest import Identity
from scripts.lab.machine import Machine
from scripts.lab.machines import BY_BOARD
from scripts.replaying.errors import ReplayError
from scripts.replaying.qemu_lan import IN_PROCESS, Cable, cable_of, used_lease
from scripts.replaying.tape import Tape
from scripts.sdcard.texts import SettingValue

# The generic board of each architecture, which starts from a card as boards do.
GENERIC = {"amd64": "uefi-amd64", "arm64": "virt-arm64", "armhf": "virt-armhf", "riscv64": "virt-riscv64"}
# What device trees and DMI that QEMU makes itself say of these boards.
OWN_MODELS = frozenset({"linux,dummy-virt", "riscv-virtio,qemu", "QEMU Standard PC (Q35 + ICH9, 2009)"})
# The kernel tells of 30 to 70 MiB less than there is: its own image, and what firmware keeps.
MEMORY_STEP_MIB = 128
MIB = 1 << 20
MOST_MIB = 8192
# A recording may come from anybody, and these become words on QEMU's command line.
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
MOST_ADAPTERS = 8
# Words of the loader's command line that are the recorded site's, and not the board's or the card's.
KEPT_WORD = re.compile(r"bootpilot\.(?!card=|card$|shell)[!-~]+")
# Of the report, on a board that only has the recorded one's name.
OTHER_BOARD = "QEMU's generic board stands in for the recorded one, under its identity"
FOREIGN = ("simulated", "cpu", "memory_bytes", "nics", "disks", "kexec", "features", "lease.interface")
OTHER_BUILD = "the loader of this checkout is another build than the recorded one"


@dataclass(frozen=True)
class Adapter:
    """One network adapter: its MAC and its cable."""

    name: str
    mac: str
    cable: Cable


@dataclass(frozen=True)
class BoardPlan:
    """`is_itself`: QEMU's board is the recorded one. `adapters` are in the order in which Linux names them."""

    machine: Machine
    identity: Identity
    is_itself: bool
    memory_mib: int
    adapters: tuple[Adapter, ...]
    settings: dict[str, SettingValue]
    words: tuple[str, ...]
    blind: Mapping[str, str] = field(default_factory=dict)

    @property
    def cables(self) -> list[Cable]:
        return [adapter.cable for adapter in self.adapters]


def plan_board(tape: Tape, build_id: str) -> BoardPlan:
    """`build_id` is that of the loader that will run. Raises ReplayError for a board that QEMU cannot stand in for."""
    machine = BY_BOARD[GENERIC[tape.arch]]
    model = _text(tape.report.get("board"), "model")
    is_itself = model in OWN_MODELS
    adapters = tuple(_adapters(tape))
    settings = settings_of(tape)
    if "vlan" in settings:
        raise ReplayError("the recorded board talks in a VLAN, which QEMU's user-mode network has not", IN_PROCESS)
    blind = {} if is_itself else dict.fromkeys(FOREIGN, OTHER_BOARD)
    for adapter in adapters:
        blind |= adapter.cable.blind if adapter.name == used_lease(tape) else {}
    if build_id != tape.header.build_id:
        blind |= {"agent.build_id": OTHER_BUILD, "loader_builds": OTHER_BUILD}
    return BoardPlan(
        machine=machine,
        identity=_identity(tape, adapters),
        is_itself=is_itself,
        memory_mib=_memory_mib(tape) if is_itself else machine.memory_mib,
        adapters=adapters,
        settings=settings,
        words=(*machine.loader_arguments, *(word for word in command_line_of(tape).split() if KEPT_WORD.fullmatch(word))),
        blind=blind,
    )


def settings_of(tape: Tape) -> dict[str, SettingValue]:
    """The settings on the recorded card, without its certificates: the replay's servers have their own."""
    raw = _first_file(tape, lambda path: PurePosixPath(path).name == CARD_FILE)
    values = read_card(raw).values
    kept = {name: value for name, value in values.items() if name != "ca" and isinstance(value, (str, int, bool, list))}
    return {name: [str(one) for one in value] if isinstance(value, list) else value for name, value in kept.items()}


def command_line_of(tape: Tape) -> str:
    """The recorded loader's."""
    return _first_file(tape, lambda path: path == "proc/cmdline").decode(errors="replace")


def _adapters(tape: Tape) -> list[Adapter]:
    """Those of the report; where there is none, those that asked for an address."""
    told = tape.report.get("nics")
    rows = [(_text(nic, "name"), _text(nic, "mac")) for nic in told] if isinstance(told, list) else []
    rows = rows or [(name, "") for name in dict.fromkeys(dump.line.interface for dump in tape.dumps)]
    if not 0 < len(rows) <= MOST_ADAPTERS:
        many = len(rows) or "no"
        raise ReplayError(f"the recorded board had {many} network adapters; here are 1 to {MOST_ADAPTERS}", IN_PROCESS)
    return [Adapter(name, mac if MAC.fullmatch(mac) else Identity.named(name).mac, cable_of(tape, name)) for name, mac in rows]


def _identity(tape: Tape, adapters: tuple[Adapter, ...]) -> Identity:
    """The serial number and UUID that firmware gave the board."""
    evidence = tape.report.get("evidence")
    rows = evidence if isinstance(evidence, list) else []
    found = {_text(row, "kind"): _text(row, "value") for row in reversed(rows)}
    spare = Identity.named(tape.header.boot_id)
    serial = found.get("dt-serial") or found.get("dmi-product-serial") or ""
    uuid = found.get("dmi-uuid") or ""
    return Identity(
        serial if NAME.fullmatch(serial) else spare.serial,
        uuid if re.fullmatch(UUID_PATTERN, uuid) else spare.uuid,
        adapters[0].mac,
    )


def _memory_mib(tape: Tape) -> int:
    """What the machine was given so that its kernel tells of so much. Raises ReplayError."""
    memory = tape.report.get("memory_bytes")
    mebibytes = -(-memory // MIB) if isinstance(memory, int) else 0
    if not 0 < mebibytes <= MOST_MIB:
        raise ReplayError(f"the recorded board had {mebibytes} MiB of memory; QEMU gets at most {MOST_MIB} here", IN_PROCESS)
    return -(-mebibytes // MEMORY_STEP_MIB) * MEMORY_STEP_MIB


def _first_file(tape: Tape, wanted: Callable[[str], bool]) -> bytes:
    lines = (reading.line for reading in tape.readings)
    return next((line.content for line in lines if line.what is FileKind.FILE and wanted(line.path)), b"")


def _text(value: Json, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
