"""Replays a boot with the frozen agent of this checkout, in network namespaces of its own: real sockets, real DHCP, real time.

Who the board is, its command line, its card's settings, its leases and its servers are the recorded ones. Its memory, disks
and drivers are this machine's: those parts of the report are not compared, and a boot that turned on them is refused.
"""

import os
import sys
import tempfile
from pathlib import Path

from bootpilot_agent.recording_lines import KexecLine
from bootpilot_agent.run import run
from initramfs.build import build_loader
from initramfs.errors import BuildError
from scripts.faults.confinement import NOBODY
from scripts.faults.stage import Stage, lay_out
from scripts.replaying.call import JUMP, Call, Place
from scripts.replaying.errors import ReplayError
from scripts.replaying.overlay import overlay_of
from scripts.replaying.performed import Performed, read_load, told_to
from scripts.replaying.playing import Options
from scripts.replaying.recorded_leases import leases_that_end
from scripts.replaying.script import Script
from scripts.replaying.stand_ins import StandIn, files_of
from scripts.replaying.tape import Tape
from scripts.replaying.wiring import wire_up
from scripts.scenarios.scenario import Scenario

CHECKOUT = Path(__file__).resolve().parents[2]
HOST = "amd64"
HARNESS_S = 120.0
# What a namespace has of the machine that it is on.
BLIND = {
    "cpu": "the processors are this machine's",
    "memory_bytes": "the memory is this machine's",
    "nics": "the adapters are virtual ones",
    "disks": "a namespace has no disks",
    "kexec": "no kernel can be loaded from a namespace",
    "simulated": "who the board is was given to it",
    "agent.build_id": "the agent is that of this checkout",
    "loader_builds": "the agent is that of this checkout",
}
# The first word of a failure -> why it would not come again.
NOT_HERE = {"memory": "memory is this machine's", "kexec": "no kernel is loaded here", "local": "there are no disks here"}


def play(tape: Tape, stand_ins: list[StandIn], options: Options) -> Performed:
    """One replay. Raises ReplayError, also where the harness failed."""
    refuse(tape)
    return play_on(prepare_stage(options.shared), tape, stand_ins, options.shared, options.fault)


def play_on(stage: Stage, tape: Tape, stand_ins: list[StandIn], folder: Path, fault: Scenario | None = None) -> Performed:
    """The same on a stage that is there already; `folder` gets one more in it. Raises ReplayError."""
    refuse(tape)
    wire_up(tape)
    place = Place(Path(tempfile.mkdtemp(prefix="boot-", dir=folder)))
    call = Call(tape, stand_ins, fault)
    place.write_call(call)
    start(place, stage, call.limit_s + HARNESS_S)
    how, asked = place.read_asked()
    script = Script(tape, stand_ins, overlay_of(fault))
    for one in asked:
        script.answer(one)
    return Performed(
        met=tuple(script.met),
        left=tuple(script.left),
        events=tuple(told_to(script)),
        kexecs=tuple(loads_of(place, script)),
        how=how,
        jumped=how == JUMP,
        console=place.console.read_text(errors="replace"),
        blind=blind(tape),
        notes=tuple(leases_that_end(tape)),
        loose=True,
    )


def refuse(tape: Tape) -> None:
    """Raises ReplayError for a boot that this runner cannot play."""
    if tape.arch != HOST and any(named.role == "dtb" for one in tape.plans for named in files_of(one)):
        raise ReplayError(
            f"its plan brings a device tree for {tape.arch}, and the agent is frozen for {HOST} here",
            "--runner in-process replays it; --runner qemu does so on its own architecture",
        )
    for step in tape.steps:
        if reason := NOT_HERE.get(step.error.partition(":")[0]):
            raise ReplayError(f"this boot failed at {step.error[:200]}, and {reason}", "--runner in-process replays it")
        if step.name in ("take_system", "take_own_system"):
            raise ReplayError("this boot starts what lies on the board's own disk, and there are no disks here")


def prepare_stage(folder: Path) -> Stage:
    """The loader's root, unpacked once for all replays of one call. Raises ReplayError."""
    stage = Stage(folder / "stage")
    if not stage.folder.exists():
        os.umask(0o022)
        folder.chmod(0o755)
        stage.folder.mkdir()
        try:
            return lay_out(build_loader(HOST).initramfs, stage.folder)
        except BuildError as error:
            raise ReplayError(f"the agent cannot be frozen: {error}") from error
    return stage


def start(place: Place, stage: Stage, limit_s: float) -> None:
    """Play it in a process of its own, which gives up all its rights. Raises ReplayError, CommandError."""
    if os.getuid() == 0:
        os.chown(place.folder, NOBODY, NOBODY)
    argv = [sys.executable, "-B", "-m", "scripts.replaying.inside", str(place.folder), str(stage.folder)]
    paths = ":".join(str(CHECKOUT / name) for name in ("", "agent", "server-stub"))
    done = run(argv, timeout_s=limit_s, check=False, extra={"PYTHONPATH": paths})
    if done.returncode != 0:
        raise ReplayError(f"the harness failed:\n{done.stderr.strip()[-4000:]}")


def loads_of(place: Place, script: Script) -> list[KexecLine]:
    """What the stand-in for kexec was given last."""
    if not (place.record / "load").exists():
        return []
    words = (place.record / "load").read_text().rstrip("\n")
    command_line = words.partition("--command-line=")[2].rpartition(" ")[0]
    kernel, initrd = ((place.record / name).read_bytes() for name in ("kernel", "initrd"))
    return [read_load(command_line, kernel, initrd, None, script)]


def blind(tape: Tape) -> dict[str, str]:
    """The fields of the report that this runner cannot feed, with the reasons."""
    other = f"recorded on {tape.arch}; the agent is frozen for {HOST} here"
    foreign = {"arch": other, "features": other} if tape.arch != HOST else {}
    earlier = {"last_attempt": "the try before this one was not recorded"} if tape.report.get("last_attempt") else {}
    return {**BLIND, **foreign, **earlier}
