"""Switches on every board that QEMU can start, from its own card, and reads off when agent and kexec came. Judges nothing."""

from pathlib import Path

from initramfs.build import Loader
from scripts.benchmark.board_rows import BASELINES, BoardRow, render_boards, render_loaders
from scripts.lab.board_list import machine_named
from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built, Wiring, build_for, make_guest, publish, server_url
from scripts.lab.errors import LabError
from scripts.lab.guest import Guest
from scripts.lab.machine import Machine
from scripts.lab.machines import BY_BOARD
from scripts.lab.milestones import read_milestones
from scripts.lab.verdict import JUMP
from scripts.lab.vm import start_guest
from scripts.lab.watch import Clock
from scripts.sdcard.release import compressed_copy


def bench_boards(names: list[str], runs: int, folder: Path, clock: Clock) -> str:
    """Both tables. Without names all boards; the generic ones that they are compared with come along.

    Raises BuildError, CardError, CommandError or LabError.
    """
    machines = chosen_machines(names)
    loaders: dict[str, Loader] = {}
    rows = []
    for board, machine in machines.items():
        built = build_for(machine)
        loaders[machine.arch] = built.loader
        rows.append(_measure(board, built, runs, folder / board, clock))
    sizes = {arch: loader.initramfs.stat().st_size for arch, loader in sorted(loaders.items())}
    return f"{render_boards(rows)}\n{render_loaders(sizes)}"


def chosen_machines(names: list[str]) -> dict[str, Machine]:
    """Raises LabError for a board that is not simulated, with the reason."""
    wanted = [machine_named(name).board for name in names] or list(BY_BOARD)
    wanted += [BASELINES[BY_BOARD[name].arch] for name in wanted]
    return {name: machine for name, machine in BY_BOARD.items() if name in wanted}


def _measure(board: str, built: Built, runs: int, folder: Path, clock: Clock) -> BoardRow:
    server = BootServer(folder / "home")
    times: list[tuple[float, float]] = []
    image_bytes = zst_bytes = 0
    try:
        server.start()
        publish(server, built)
        for number in range(1, runs + 1):
            # A card and firmware variables of its own for each run: none begins with what another left.
            place = folder / str(number)
            place.mkdir()
            guest = make_guest(built, "bench", place, Wiring(servers=(server_url(server),)))
            if number == 1:
                image_bytes, zst_bytes = _card_bytes(guest)
            times.append(_times(board, guest))
            clock.say(f"{board}, run {number}: agent's first line after {times[-1][0]:.1f} s, kexec after {times[-1][1]:.1f} s")
    finally:
        server.stop()
    agent_s, kexec_s = zip(*times, strict=True)
    return BoardRow(board, built.machine.arch, image_bytes, zst_bytes, agent_s, kexec_s)


def _times(board: str, guest: Guest) -> tuple[float, float]:
    with start_guest(guest) as running:
        running.wait_for_line(JUMP.pattern, guest.machine.deadline_s)
        seen = read_milestones(guest.machine.start, running.lines)
    if seen.agent_s is None or seen.kexec_s is None:
        raise LabError(f"{board} jumped into its payload, but its agent said nothing before")
    return seen.agent_s, seen.kexec_s


def _card_bytes(guest: Guest) -> tuple[int, int]:
    image = guest.boot.image
    if image is None:
        raise LabError("a board of this bench starts from its card")
    return image.stat().st_size, compressed_copy(image).stat().st_size
