"""Run a recorded boot again, offline, and say whether the agent does the same. Called by scripts/replay."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from bootpilot_agent.errors import AgentError
from bootpilot_agent.recording import MAX_PACKED_BYTES
from scripts.faults.errors import FaultsError
from scripts.replaying.errors import ReplayError
from scripts.replaying.playing import Options
from scripts.replaying.runners import RUNNERS
from scripts.replaying.stand_ins import AtHand, make_stand_ins
from scripts.replaying.tape import Tape, read_tape
from scripts.replaying.verdict import EXIT_CODES, Answer, Verdict, judge

EPILOG = """\
same             the same requests in the same order, the same decisions and events, the same kexec call
differs          the first difference is named: the request and its field, or the step, event or word of the command line
not replayable   the recording lacks what this runner needs; the text says what, and which runner or option helps

Not compared are times, clocks and the progress of downloads. Boot id, nonce and token are new in each boot; they stand for
the recorded ones. Files that the recorded plan names are taken from --artifacts FOLDER by their digest; for all others there
are stand-ins of the same size.

Exit code: 0 same, 1 differs, 2 not replayable. With --times the worst of all.
"""


def main(arguments: list[str] | None = None) -> int:
    """The exit code; see EPILOG."""
    options = _parser().parse_args(arguments)
    try:
        tape = read_tape(read_file(options.file))
        tape = tape.cut(options.until) if options.until else tape
        with tempfile.TemporaryDirectory(prefix="bootpilot-replay-") as folder:
            verdicts = [replay(tape, options, Path(folder), number) for number in range(options.times)]
    except (AgentError, FaultsError, ReplayError, OSError) as error:
        return report_failure(error, as_json=options.json)
    worst = max(verdicts, key=lambda verdict: verdict.exit_code)
    if options.json:
        print(json.dumps({**worst.to_json(), "times": len(verdicts), "verdicts": [one.answer for one in verdicts]}, indent=2))
    else:
        show(worst, verdicts)
    return worst.exit_code


def read_file(path: Path) -> bytes:
    """No more of it than a recording has. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_PACKED_BYTES + 1)


def replay(tape: Tape, options: argparse.Namespace, folder: Path, number: int) -> Verdict:
    """One of the replays. Raises ReplayError."""
    start_s = time.monotonic()
    play = RUNNERS[options.runner].load()
    performed = play(tape, make_stand_ins(tape, at_hand(options.artifacts)), Options(folder, say=_say))
    verdict = judge(tape, performed)
    if options.console:
        print(performed.console, file=sys.stderr)
    if not options.json:
        print(f"{number + 1} of {options.times}: {verdict.answer} after {time.monotonic() - start_s:.1f} s ({performed.how})")
    return verdict


def at_hand(folder: Path | None) -> AtHand:
    """Files by their digest: in a folder, or in the artifacts of a boot server's home. Each is checked when it is used."""
    if folder is None:
        return lambda sha256: None
    from scripts.replaying.artifact_folder import ArtifactFolder

    return ArtifactFolder(folder).read


def show(verdict: Verdict, verdicts: list[Verdict]) -> None:
    """For a person: the verdict, the first difference, and what was left out."""
    number = sum(1 for one in verdicts if one.answer is verdict.answer)
    times = f" ({number} of {len(verdicts)} times)" if len(verdicts) > 1 else ""
    if verdict.answer is Answer.SAME:
        print(f"same{times}: {verdict.compared}")
    else:
        print(f"{verdict.answer} at {verdict.differences[0]}{times}")
        for other in verdict.differences[1:]:
            print(f"and then: {other}")
    for note in verdict.notes:
        print(f"note: {note}")


def report_failure(error: Exception, *, as_json: bool) -> int:
    """Said, never passed over."""
    if as_json:
        print(json.dumps({"verdict": Answer.NOT_REPLAYABLE, "reason": str(error)}, indent=2))
    else:
        print(f"{Answer.NOT_REPLAYABLE}: {error}", file=sys.stderr)
    return EXIT_CODES[Answer.NOT_REPLAYABLE]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "scripts/replay", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="a recording (.bootrec)")
    runners = "; ".join(f"{row.name}: {row.what}" for row in RUNNERS.values())
    parser.add_argument("--runner", choices=tuple(RUNNERS), default="in-process", help=runners)
    parser.add_argument("--until", metavar="STAGE", default="", help="stop at this step or event, and judge as far as that")
    parser.add_argument("--times", type=int, default=1, metavar="N", help="replay it so often")
    parser.add_argument("--artifacts", type=Path, metavar="FOLDER", help="where the payload's files are, if they are at hand")
    parser.add_argument("--console", action="store_true", help="show what the replayed agent said")
    parser.add_argument("--json", action="store_true", help="the verdict for programs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
