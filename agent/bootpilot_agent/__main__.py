"""The agent's command line: builds the real devices and boots for ever. The only place that ends the process.

bootpilot-agent              boot; comes back only with `bootpilot.shell` on the kernel command line
bootpilot-agent --version
bootpilot-agent --self-test  is everything here that a boot needs? Exit code 0 or 1
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootpilot_agent import __version__
from bootpilot_agent.card import find_card
from bootpilot_agent.console import CONSOLE, ignore_stop_characters
from bootpilot_agent.devices import Devices
from bootpilot_agent.drivers import Coldplug
from bootpilot_agent.edges import BoardEdges
from bootpilot_agent.ending import flush_disks
from bootpilot_agent.flight import Agent, Flight
from bootpilot_agent.main import keep_booting
from bootpilot_agent.network import Network
from bootpilot_agent.recorded_edges import recorded
from bootpilot_agent.report import FEATURES, read_build
from bootpilot_agent.run import run
from bootpilot_agent.taps import listen
from bootpilot_agent.wall_clock import WallClock
from bootpilot_agent.watchdog import Watchdog

# In the root file system, which is all memory; /run and /tmp may be limited to half of it.
PAYLOAD_FOLDER = Path("/payload")


def main(arguments: list[str] | None = None) -> int:
    """The exit code; see errors.py for the failures' own."""
    chosen = sys.argv[1:] if arguments is None else arguments
    if chosen == ["--version"]:
        print(f"bootpilot-agent {__version__}")
        return 0
    if chosen == ["--self-test"]:
        from bootpilot_agent.self_test import self_test

        return self_test()
    if chosen:
        print((__doc__ or "").partition("\n\n")[2], file=sys.stderr)
        return 64
    return boot_this_board()


def boot_this_board() -> int:
    """Comes back only where a shell is wanted."""
    # requests warns at import that it can guess no encodings; nothing here has any to guess.
    warnings.simplefilter("ignore")
    build = read_build()
    flight = Flight(Agent(build.agent_version, build.build_id, build.arch, FEATURES.get(build.arch, ())), say=CONSOLE.say)
    listen(flight)
    wall_clock = WallClock(build.built_unix_s, CONSOLE.say)
    prepare_process(wall_clock)
    CONSOLE.banner(f"Bootpilot agent {build.agent_version} ({build.arch}, build {build.build_id})")
    coldplug = Coldplug()
    devices = Devices(
        root=Path("/"),
        folder=PAYLOAD_FOLDER,
        console=CONSOLE,
        drivers=coldplug,
        network=Network(build.arch, coldplug=coldplug),
        find_card=find_card,
        open_watchdog=Watchdog.open,
        run=run,
        sync=flush_disks,
        wall_clock=wall_clock,
    )
    edges = BoardEdges(devices, build, flight.pack)
    return keep_booting(recorded(edges, flight))


def prepare_process(wall_clock: WallClock, root: Path = Path("/")) -> None:
    """Never the first to die when memory is short, and a clock that may be right."""
    ignore_stop_characters(1)
    with _failure_said():
        # Not -1000: children inherit it, and kexec, which is bigger, must be the one that the kernel picks.
        (root / "proc/self/oom_score_adj").write_text("-999")
    wall_clock.correct()


@contextmanager
def _failure_said() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        CONSOLE.say(f"agent: {error}")


if __name__ == "__main__":
    sys.exit(main())
