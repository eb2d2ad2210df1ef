"""One run in namespaces of its own: python -m scripts.faults.cell SCENARIO LOADER STAGE FOLDER [record]. Prints the outcome as
JSON; with `record` the board is asked for its recording.

Started as root or as a plain user; either way it is nobody's root before anything of the board begins (confinement.py).
"""

import os
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from bootpilot_agent.errors import AgentError
from bootpilot_agent.run import run
from scripts.faults.board_root import MOUNT_S
from scripts.faults.confinement import PR_SET_PDEATHSIG, enter_namespaces, give_up_root, namespaces, prctl, prove_confined
from scripts.faults.errors import FaultsError
from scripts.faults.outcome import Loader
from scripts.faults.power import PowerSwitch
from scripts.faults.stage import Stage
from scripts.faults.world import World
from scripts.scenarios.reading import find_scenario


def main() -> int:
    """The exit code: 0 with an outcome on stdout, whatever it says; 1 where the harness failed."""
    name, loader, stage, folder, *wishes = sys.argv[1:]
    scenario = find_scenario(name)
    if wishes:
        scenario = replace(scenario, server=replace(scenario.server, record=True))
    outside = namespaces()
    place = Path(folder)
    try:
        enter_cell()
        child = os.fork()
        if child == 0:
            # The first process of the namespaces: with it, everything in there ends.
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            prepare_cell()
            prove_confined(outside)
            power = PowerSwitch(outside)
            outcome = World(scenario, Loader(loader), Stage(Path(stage)), place, power).play()
            print(outcome.to_json(), flush=True)
            os._exit(0)
    except (AgentError, FaultsError, OSError):
        traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    return 0 if status == 0 else 1


def enter_cell() -> None:
    """No way back. Raises ConfinementError."""
    give_up_root()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    enter_namespaces()


def prepare_cell() -> None:
    """What the harness itself needs in there: its own /proc, and a /run that may be written. Raises CommandError."""
    for words in (
        ("--make-rprivate", "/"),
        ("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"),
        ("-t", "proc", "proc", "/proc"),
    ):
        run(["mount", *words], timeout_s=MOUNT_S)


if __name__ == "__main__":
    sys.exit(main())
