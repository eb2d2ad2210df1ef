"""Run a recorded boot again, offline, and say whether the agent does the same. Called by scripts/replay."""

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from bootpilot_agent.errors import AgentError
from initramfs.errors import BuildError
from scripts.faults.errors import FaultsError
from scripts.replaying.errors import ReplayError
from scripts.replaying.playable import Recorded, Replayed, Written, find
from scripts.replaying.playing import Options
from scripts.replaying.runners import RUNNERS
from scripts.replaying.verdict import EXIT_CODES, Answer
from scripts.scenarios.reading import ScenarioError, find_scenario

EPILOG = """\
same             the same requests in the same order, the same decisions and events, the same kexec call
differs          the first difference is named: the request and its field, or the step, event or word of the command line
recovered        with --fault: something became different, and the board came to the same end all the same
not replayable   the recording lacks what this runner needs; the text says what, and which runner or option helps

Not compared are times, clocks and the progress of downloads. Boot id, nonce and token are new in each boot; they stand for
the recorded ones. Files that the recorded plan names are taken from --artifacts FOLDER by their digest; for all others there
are stand-ins of the same size. A written boot (a name of scripts/scenarios, or FILE.toml#NAME) is judged by what its author
expects.

Exit code: 0 same or recovered, 1 differs, 2 not replayable. With --times the worst of all.
"""
FAILURES = (AgentError, BuildError, FaultsError, ReplayError, ScenarioError, OSError)


def main(arguments: list[str] | None = None) -> int:
    """The exit code; see EPILOG."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        playable = find(options.what, options.runner, options.artifacts, options.until)
        with tempfile.TemporaryDirectory(prefix="bootpilot-replay-") as folder:
            played = [play(playable, options, Path(folder), number) for number in range(options.times)]
    except FAILURES as error:
        return report_failure(error, as_json=options.json)
    except KeyboardInterrupt:
        print("replay: stopped", file=sys.stderr, flush=True)
        os._exit(2)  # not by the interpreter's own end, which waits for the threads of what still runs
    worst = max(played, key=lambda one: one.verdict.exit_code)
    with contextlib.suppress(BrokenPipeError):  # whoever reads has seen enough
        show_json(worst, played) if options.json else show(worst, played)
        sys.stdout.flush()
    return worst.verdict.exit_code


def play(playable: Recorded | Written, options: argparse.Namespace, folder: Path, number: int) -> Replayed:
    """One of the replays. Raises what these raise."""
    fault = find_scenario(options.fault) if options.fault else None
    if fault and isinstance(playable, Written):
        raise ReplayError("--fault is laid over a recording; a written boot has its own")
    one = playable.play(Options(folder, fault, say=lambda text: print(text, file=sys.stderr, flush=True)))
    if options.console:
        print(one.console, file=sys.stderr)
    if not options.json:
        print(f"{number + 1} of {options.times}: {one.verdict.answer} after {one.seconds:.1f} s ({one.how})", flush=True)
    return one


def show(worst: Replayed, played: list[Replayed]) -> None:
    """For a person: the verdict, the first difference, and what was left out."""
    verdict = worst.verdict
    alike = sum(1 for one in played if one.verdict == verdict)
    times = f" ({alike} of {len(played)} times)" if len(played) > 1 else ""
    print(f"{verdict.answer}{times}: {verdict.compared}")
    for number, difference in enumerate(verdict.differences):
        print(f"{'first different at' if number == 0 else 'and then:'} {difference}")
    for note in verdict.notes:
        print(f"note: {note}")


def show_json(worst: Replayed, played: list[Replayed]) -> None:
    """For a program."""
    verdicts = [one.verdict.answer for one in played]
    seconds = [round(one.seconds, 1) for one in played]
    more = {"how": worst.how, "times": len(played), "verdicts": verdicts, "seconds": seconds}
    print(json.dumps({**worst.verdict.to_json(), **more}, indent=2))


def report_failure(error: Exception, *, as_json: bool) -> int:
    """Said, never passed over."""
    if as_json:
        print(json.dumps({"verdict": Answer.NOT_REPLAYABLE, "reason": str(error)}, indent=2))
    else:
        print(f"{Answer.NOT_REPLAYABLE}: {error}", file=sys.stderr)
    return EXIT_CODES[Answer.NOT_REPLAYABLE]


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "scripts/replay",
        description=(__doc__ or "").partition(" Called")[0],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", metavar="FILE", help="a recording (.bootrec), or a written boot: NAME, or FILE.toml#NAME")
    runners = "; ".join(f"{row.name}: {row.what}" for row in RUNNERS.values())
    parser.add_argument("--runner", choices=tuple(RUNNERS), default="", help=f"{runners} (default: in-process)")
    parser.add_argument("--until", metavar="STAGE", default="", help="stop at this step or event, and judge as far as that")
    parser.add_argument(
        "--fault", metavar="NAME", default="", help="lay a written fault of the server over the recorded answers"
    )
    parser.add_argument("--times", type=_count, default=1, metavar="N", help="replay it so often")
    parser.add_argument("--artifacts", type=Path, metavar="FOLDER", help="where the payload's files are, if they are at hand")
    parser.add_argument("--console", action="store_true", help="show what the replayed agent said")
    parser.add_argument("--json", action="store_true", help="the verdict for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
