"""Replays a boot on a whole machine in QEMU: firmware, card, the loader of this checkout, network, kexec, the next kernel.

Built here: loader, card, payload. Played in a network of its own (qemu_cell.py), where every recorded address can be had and
nothing else can be reached.
"""

import pickle
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bootpilot_agent.errors import AgentError
from bootpilot_agent.run import run
from initramfs.build import build_loader, build_workload
from initramfs.errors import BuildError
from scripts.lab.certificates import Certificates
from scripts.lab.errors import LabError
from scripts.lab.given_identity import write_identity
from scripts.lab.guest import CardBoot, DeadNet, Guest, Nic
from scripts.lab.starting import card_boot
from scripts.replaying.board_tree import BoardTree
from scripts.replaying.errors import ReplayError
from scripts.replaying.performed import Performed
from scripts.replaying.playing import Options
from scripts.replaying.qemu_board import BoardPlan, plan_board
from scripts.replaying.qemu_lan import IN_PROCESS, listening_address, origins_of, place_of
from scripts.replaying.qemu_payload import runnable
from scripts.replaying.stand_ins import StandIn
from scripts.replaying.tape import Ending, Tape
from scripts.scenarios.scenario import Scenario
from scripts.sdcard.build import CardOptions
from scripts.sdcard.errors import CardError
from scripts.sdcard.texts import SettingValue

CHECKOUT = Path(__file__).resolve().parents[2]
# No address of the machine that replays can be reached from there; a plain user is root there, too.
NAMESPACE = ("unshare", "--map-root-user", "--net", "--")
# On top of the machine's own deadline, per run; a kernel lost to QEMU is run once more.
MORE_S = 120.0
RUNS = 2
LONGEST_MS = 3_600_000
OWN_DISK = ("take_system", "take_own_system")
JOB, RESULT, CERTIFICATES = "job", "performed", "certificates"


@dataclass(frozen=True)
class Job:
    """What the cell plays."""

    tape: Tape
    stand_ins: list[StandIn]
    plan: BoardPlan
    guest: Guest
    deadline_s: float
    fault: Scenario | None = None


def play(tape: Tape, stand_ins: list[StandIn], options: Options) -> Performed:
    """One replay. Raises ReplayError where QEMU cannot show this boot, or fails itself."""
    refuse(tape)
    try:
        # A card image lies in there, so nothing stays for the next replay.
        with tempfile.TemporaryDirectory(prefix="q-", dir=options.shared) as name:
            job = prepare(tape, stand_ins, Path(name), options.say)
            more_s = options.fault.limit_s if options.fault else 0
            return play_apart(replace(job, fault=options.fault, deadline_s=job.deadline_s + more_s), Path(name))
    except (AgentError, BuildError, CardError, LabError, OSError) as error:
        raise ReplayError(f"the replay in QEMU failed by itself: {error}") from error


def refuse(tape: Tape) -> None:
    """Raises ReplayError for a boot that this runner cannot play."""
    if tape.ended_ms > LONGEST_MS:
        raise ReplayError(f"this boot took {tape.ended_ms / 3_600_000:.1f} h, and a machine in QEMU takes as long", IN_PROCESS)
    for step in tape.steps:
        if step.name in OWN_DISK:
            raise ReplayError(
                "this boot starts the system on the board's own disk, and what is on a disk is not in a recording"
            )
    if tape.report.get("last_attempt"):
        raise ReplayError(
            "the recorded boot still had an earlier failure to tell, which a board that starts anew does not know",
            "the in-process runner gives it to the agent",
        )


def prepare(tape: Tape, stand_ins: list[StandIn], folder: Path, say: Callable[[str], object]) -> Job:
    """Build what is not in the cache, and lay out card and board. Raises what builders raise, ReplayError."""
    say(f"loader and payload for {tape.arch}: building what is not in the cache yet")
    loader = build_loader(tape.arch)
    plan = plan_board(tape, loader.build_id)
    settings = {**plan.settings, **certify(tape, plan, folder)}
    extra = () if plan.is_itself else (_identity_archive(tape, folder),)
    boot = card_boot(plan.machine, loader, plan.identity, folder, CardOptions(settings, plan.words, extra_initrds=extra))
    tree = boot.device_tree if isinstance(boot, CardBoot) else None
    payload = runnable(stand_ins, build_workload(tape.arch), tree)
    guest = Guest(plan.machine, plan.identity, boot, _nics(plan), folder, memory_mib=plan.memory_mib)
    deadline_s = plan.machine.deadline_s + max(tape.ended_ms, 0) / 1000
    say(f"switching on: {plan.machine.title}, for at most {deadline_s:.0f} s")
    return Job(tape, payload, plan, guest, deadline_s)


def certify(tape: Tape, plan: BoardPlan, folder: Path) -> dict[str, SettingValue]:
    """Certificates for the recorded servers with HTTPS, and the setting by which the board trusts them. Raises ReplayError."""
    hosts = {place.host for origin in origins_of(tape) if (place := place_of(origin)).is_https}
    if not hosts:
        return {}
    for host in hosts:
        listening_address(host, plan.cables)
    (folder / CERTIFICATES).mkdir()
    certificates = Certificates(folder / CERTIFICATES)
    for host in hosts:
        certificates.issue(host, f"IP:{host}")
    return {"ca": certificates.ca.read_text()}


def play_apart(job: Job, folder: Path) -> Performed:
    """In a process with a network of its own. Raises ReplayError, CommandError."""
    (folder / JOB).write_bytes(pickle.dumps(job))
    argv = [*NAMESPACE, sys.executable, "-B", "-m", "scripts.replaying.qemu_cell", str(folder)]
    paths = ":".join(str(CHECKOUT / name) for name in ("", "agent", "server-stub"))
    limit_s = RUNS * (job.deadline_s + MORE_S)
    done = run(argv, timeout_s=limit_s, check=False, extra={"PYTHONPATH": paths})
    if done.returncode != 0:
        raise ReplayError(f"the replay in QEMU failed by itself:\n{done.stderr.strip()[-4000:]}")
    performed = pickle.loads((folder / RESULT).read_bytes())  # noqa: S301 # this program's own, written a moment ago
    if not isinstance(performed, Performed):
        raise ReplayError("the replay in QEMU left no result")
    return performed


def ends_with_jump(tape: Tape) -> bool:
    """Does the replay go on until the next kernel runs?"""
    return tape.ending is Ending.JUMP and tape.until in ("", "jump")


def _nics(plan: BoardPlan) -> tuple[Nic, ...]:
    """Linux meets virtio-mmio devices in the opposite order of QEMU's arguments."""
    nics = [Nic(adapter.mac, adapter.cable.net or DeadNet()) for adapter in plan.adapters]
    return tuple(reversed(nics) if plan.machine.virtio == "device" else nics)


def _identity_archive(tape: Tape, folder: Path) -> Path:
    """The recorded board's files as an initrd that gives a loader this identity; where it had one given, that."""
    root = folder / "board"
    BoardTree(root, tape).write()
    given = root / "bootpilot/identity"
    archive = folder / "identity.cpio"
    with archive.open("wb") as stream:
        write_identity(given if given.is_dir() else root, stream)
    return archive
