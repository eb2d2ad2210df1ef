"""Puts an installation together on a real board: reads the order, makes the devices, runs the steps, tells a failure."""

import os
import traceback
from pathlib import Path

from bootpilot_agent.boot_note import BOOT_JSON
from bootpilot_agent.console import CONSOLE, ignore_stop_characters
from bootpilot_agent.devices import Devices
from bootpilot_agent.drivers import Coldplug
from bootpilot_agent.ending import flush_disks
from bootpilot_agent.errors import AgentError
from bootpilot_agent.fields import FieldError
from bootpilot_agent.install_order import MAX_ORDER_BYTES, ORDER_PATH, InstallOrder
from bootpilot_agent.network import Network
from bootpilot_agent.report import Build, read_build
from bootpilot_agent.run import DEFAULT_PATH, run
from bootpilot_agent.wall_clock import WallClock
from bootpilot_agent.watchdog import Watchdog
from bootpilot_install.board_note import MAX_NOTE_BYTES, BoardNote
from bootpilot_install.errors import InstallError, OrderError
from bootpilot_install.main import Job, install
from bootpilot_install.steps import BoardSteps, Place

PROGRAM_FOLDERS = os.environ.get("PATH", DEFAULT_PATH)
# In the root file system, which is all memory: the next system's kernel and initrd.
PAYLOAD_FOLDER = Path("/payload")
TARGET = Path("/target")


def install_on_this_board() -> int:
    """The exit code; comes back only where the installation failed, or its system did not start."""
    build = read_build()
    wall_clock = WallClock(build.built_unix_s, CONSOLE.say)
    ignore_stop_characters(1)
    wall_clock.correct()
    CONSOLE.banner(f"Bootpilot installer {build.agent_version} ({build.arch}, build {build.build_id})")
    try:
        job = read_job(Path("/"))
    except AgentError as error:
        CONSOLE.say(f"FAILED at {error}")
        return error.exit_code
    return run_steps(BoardSteps(make_devices(job.note, build, wall_clock), build, Place(TARGET), job))


def run_steps(steps: BoardSteps) -> int:
    """One installation and, if it fails, the word about it."""
    try:
        install(steps)
    except AgentError as error:
        return steps.tell_failure(error)
    except Exception as error:
        CONSOLE.say(traceback.format_exc().rstrip())
        return steps.tell_failure(
            InstallError(f"{type(error).__name__}: {error}", "a fault of the installer itself; please report it with the log")
        )
    return 0


def make_devices(note: BoardNote, build: Build, wall_clock: WallClock) -> Devices:
    """The agent's own devices, but for the card, which nothing here touches."""
    coldplug = Coldplug()
    client_ids = {note.mac: bytes.fromhex(note.client_id)} if note.mac and note.client_id else {}
    return Devices(
        root=Path("/"),
        folder=PAYLOAD_FOLDER,
        console=CONSOLE,
        drivers=coldplug,
        network=Network(build.arch, coldplug=coldplug, client_ids=client_ids),
        find_card=lambda partuuid, *, wait_s, poll: None,
        open_watchdog=Watchdog.open,
        run=run,
        sync=flush_disks,
        wall_clock=wall_clock,
    )


def read_job(root: Path) -> Job:
    """The order and the note as the agent left them in this root. Raises OrderError that says which field is wrong."""
    note = _read(root / BOOT_JSON, MAX_NOTE_BYTES, "the loader's agent puts it there; was this installer started without it?")
    order = _read(root / ORDER_PATH.lstrip("/"), MAX_ORDER_BYTES, "the profile needs an [install] table; see `bootpilot check`")
    try:
        told = BoardNote.from_bytes(note)
    except FieldError as error:
        raise OrderError(
            f"/{BOOT_JSON}: {error}; nothing was written", "start this installer by a plan of the server"
        ) from error
    try:
        return Job(InstallOrder.from_json(order), told)
    except FieldError as error:
        raise OrderError(f"{ORDER_PATH}: {error}; nothing was written", "see the profile's [install] on the server") from error


def _read(path: Path, most: int, hint: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise OrderError(f"{path}: {error.strerror}; nothing was written", hint) from error
