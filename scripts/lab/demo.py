"""The demo's flow: build, serve, boot one simulated board, show its stages, end with its page. Called by scripts/demo."""

import argparse
import http.client
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bootpilot_agent.errors import AgentError
from initramfs.cache import bootpilot_cache
from initramfs.errors import BuildError
from scripts.lab.board_list import list_boards, machine_named
from scripts.lab.boot_server import BootServer, fetch, free_port
from scripts.lab.chain import BootFailedError, Built, Wiring, booted, build_for, handed_over, make_guest, publish, server_url
from scripts.lab.errors import LabError
from scripts.lab.guest import Guest
from scripts.lab.install_demo import Show, demonstrate_install
from scripts.lab.machine import Machine, Named, VerdictBy
from scripts.lab.verdict import Verdict
from scripts.lab.vm import RunningGuest
from scripts.lab.watch import Clock, ConsoleWatch, watched_events
from scripts.sdcard.errors import CardError

# What --arch stands for.
ARCHITECTURE_BOARDS = {"amd64": "uefi-amd64", "arm64": "virt-arm64", "armhf": "virt-armhf", "riscv64": "virt-riscv64"}
# The payload tells its server as soon as it has an address; under emulation that takes a few seconds.
HEARD_TIMEOUT_S = 60.0
BOARD_NAME = "demo board"


class PageError(Exception):
    """The board's own page, or the boot server, does not say what it should."""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 if the board's page said what it should, else 1 with the reason on stderr."""
    options = _parser().parse_args(arguments)
    # SIGINT too: a shell starts background jobs with it ignored, and Python leaves that so.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if options.list_boards:
        print(list_boards(), end="")
        return 0
    board = options.board or ARCHITECTURE_BOARDS[options.arch]
    try:
        machine = machine_named(board)
        show = demonstrate_disk if options.install else demonstrate
        with _folder(keep=options.keep) as folder:
            show(board, machine, folder, Clock(), once=options.once, whole_console=options.console)
    except KeyboardInterrupt:
        print("\ndemo: stopped; the board is switched off and the server has ended", file=sys.stderr)
        return 1 if options.once else 0
    except (AgentError, BuildError, CardError, LabError, BootFailedError, PageError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 0


def demonstrate(board: str, machine: Machine, folder: Path, clock: Clock, *, once: bool, whole_console: bool) -> None:
    """The demo on one screen. Raises what went wrong."""
    built = _build(machine, clock)
    server = BootServer(folder / "home")
    try:
        server.start()
        publish(server, built)
        clock.say(f"boot server: {server.url}/ (home {server.home})")
        port = free_port()
        guest = make_guest(built, BOARD_NAME, folder, Wiring(servers=(server_url(server),), forward_port=port))
        clock.say(f"switching on: {machine.title}, {_named(guest)}")
        for note in (machine.start.value, *machine.notes):
            clock.say(f"note      {note}")
        console = ConsoleWatch(clock, folder / "console.log", whole=whole_console)
        if machine.verdict is VerdictBy.NONE:
            _demonstrate_handover(server, guest, clock, console)
            return
        with watched_events(server, clock) as events, _booted(guest, clock, console) as (running, verdict):
            check_page(port, guest, verdict)
            if not events.wait_for("payload-up", HEARD_TIMEOUT_S):
                raise PageError(f"the board is up, but the boot server did not hear of it in {HEARD_TIMEOUT_S:.0f} s")
            events.stop()
            _say_end(clock, board, server, port, verdict)
            while not once and running.is_running():
                time.sleep(0.5)
    finally:
        server.stop()


def demonstrate_disk(board: str, machine: Machine, folder: Path, clock: Clock, *, once: bool, whole_console: bool) -> None:
    """The same with an installation on the board's disk instead of a payload in memory. Raises what went wrong."""

    def stay(running: RunningGuest) -> None:
        while not once and running.is_running():
            time.sleep(0.5)

    demonstrate_install(_build(machine, clock), f"{board} with a disk", Show(folder, clock, whole_console, stay))


def _demonstrate_handover(server: BootServer, guest: Guest, clock: Clock, console: ConsoleWatch) -> None:
    """As far as QEMU's model of this board goes: the payload's first program runs, and the boot server knows of the jump."""
    with watched_events(server, clock) as events, handed_over(guest, console):
        if not events.wait_for("handover", HEARD_TIMEOUT_S):
            raise PageError(f"the payload runs, but the boot server did not hear of the jump in {HEARD_TIMEOUT_S:.0f} s")
    clock.say(f"payload   its first program runs. There is no page: {guest.machine.verdict.value}")


def check_page(port: int, guest: Guest, verdict: Verdict) -> None:
    """The board's page and its JSON say what the board's verdict says, and that all CPUs are up. Raises PageError."""
    try:
        page, status = fetch(port, "/").decode(), json.loads(fetch(port, "/status.json"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PageError(f"the board's page at http://127.0.0.1:{port}/ cannot be read: {error!r}") from error
    wanted = {
        "node_id": verdict.node_id,
        "boot_id": verdict.boot_id,
        "cpus": guest.machine.expected_cpus,
        "kernel": verdict.kernel,
    }
    for name, value in wanted.items():
        if status.get(name) != value:
            raise PageError(f"status.json of the board: {name} is {status.get(name)!r}, expected {value!r}")
        if str(value) not in page:
            raise PageError(f"the board's page does not show its {name} {value!r}")


def _booted(guest: Guest, clock: Clock, console: ConsoleWatch) -> AbstractContextManager[tuple[RunningGuest, Verdict]]:
    return booted(guest, guest.machine.deadline_s, clock.say, console)


def _named(guest: Guest) -> str:
    """What tells this simulated board from others."""
    identity = guest.identity
    texts = {Named.SID: f"SID {identity.uuid}", Named.MAC: f"MAC {identity.mac}", Named.DISK: f"disk {identity.serial}"}
    return texts.get(guest.machine.named, f"serial number {identity.serial}")


def _build(machine: Machine, clock: Clock) -> Built:
    clock.say(f"loader and workload for {machine.arch}: building what is not in the cache yet")
    built = build_for(machine)
    size = built.loader.initramfs.stat().st_size
    clock.say(f"loader {built.loader.build_id}: kernel {built.loader.kernel_version}, initramfs {size / 1e6:.1f} MB")
    return built


def _say_end(clock: Clock, board: str, server: BootServer, port: int, verdict: Verdict) -> None:
    clock.say(f"payload   up: node {verdict.node_id}, {verdict.cpus} CPUs, kernel {verdict.kernel}, {verdict.address}")
    print(f"\n  status page of the boot server  {server.url}/")
    print(f"  page of the board               http://127.0.0.1:{port}/\n")
    taken_s = clock.elapsed_s()
    first_s = _first_run_s(board, taken_s)
    print(
        f"  from command to page: {taken_s:.0f} s now, {first_s:.0f} s at the first demo of {board} on this machine\n",
        flush=True,
    )


def _first_run_s(board: str, taken_s: float) -> float:
    """How long the first run took on this machine, whose cache was empty; remembered beside what it built."""
    path = bootpilot_cache() / f"demo-first-run-{board}"
    if not path.exists():
        path.write_text(f"{taken_s:.1f}\n")
    return float(path.read_text())


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bootpilot-demo-"))
    try:
        yield folder
    finally:
        if keep:
            print(f"demo: kept {folder} (card image, console.log, home of the server)", file=sys.stderr)
        else:
            shutil.rmtree(folder)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description="Boot a simulated board end to end.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--arch", choices=ARCHITECTURE_BOARDS, default="arm64", help="the generic board of it (default: arm64)")
    which.add_argument("--board", metavar="NAME", help="a board that QEMU simulates, from its own card")
    which.add_argument("--list-boards", action="store_true", help="which boards can be simulated, and why others cannot")
    parser.add_argument("--install", action="store_true", help="install a small system on its disk, and start that ever after")
    parser.add_argument("--once", action="store_true", help="check the board's page and end: 0 if it is right, 1 if not")
    parser.add_argument("--keep", action="store_true", help="keep the folder with card image, console log and server home")
    parser.add_argument("--console", action="store_true", help="show the whole serial console")
    return parser


if __name__ == "__main__":
    sys.exit(main())
