"""Watches a replayed boot from within: its steps, events and what it gives to the kernel. Ends it where it has to end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootpilot_agent.errors import AgentError
from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.kexec_call import WAYS
from bootpilot_agent.node_report import LastAttempt
from bootpilot_agent.payload import Payload
from bootpilot_agent.recorded_edges import DECIDED
from bootpilot_agent.recording_lines import EventLine, KexecLine
from bootpilot_agent.taps import Tap
from scripts.replaying.performed import Done, read_load
from scripts.replaying.played_programs import EndedError
from scripts.replaying.script import Script
from scripts.replaying.tape import Tape

# A number by chance is no step.
SILENT = frozenset({"chance"})
# What follows a failure comes after the recording was sent.
AFTER_THE_RECORDING = frozenset({"recover", "take_own_system"})


@dataclass
class Observer(Tap):
    """Hears the journal's events and each step; everything in the recorded boot's terms."""

    tape: Tape
    script: Script
    steps: list[Done] = field(default_factory=list)
    events: list[EventLine] = field(default_factory=list)
    kexecs: list[KexecLine] = field(default_factory=list)

    def added_event(self, name: str, data: Mapping[str, Json]) -> None:
        told = self.script.aliases.back_json(dict(data))
        self.events.append(EventLine(str(name), told if isinstance(told, dict) else {}))
        self._end_at(str(name))

    def began(self, name: str) -> None:
        self.steps.append(Done(name))
        self._end_at(name)

    def ended(self, name: str, error: str, decided: str) -> None:
        back = self.script.aliases.back
        self.steps[-1] = Done(name, back(error)[:2000], back(decided)[:2000])

    def loads(self, argv: Sequence[str]) -> None:
        """What kexec is given, read from its own words and the files that they name."""
        named = {name: value for word in argv if word.startswith("--") for name, _, value in [word.partition("=")]}
        dtb = Path(named["--dtb"]) if "--dtb" in named else None
        self._load(named.get("--command-line", ""), Path(argv[-1]), Path(named["--initrd"]), dtb)

    def loads_itself(self, payload: Payload) -> None:
        """The same of an agent that asks the kernel by itself."""
        self._load(payload.command_line, payload.kernel, payload.initrd, payload.dtb)

    def _load(self, command_line: str, kernel: Path, initrd: Path, dtb: Path | None) -> None:
        tree = dtb.read_bytes() if dtb else None
        self.kexecs.append(read_load(command_line, kernel.read_bytes(), initrd.read_bytes(), tree, self.script))

    def _end_at(self, name: str) -> None:
        if self.tape.until == name:
            raise EndedError(f"as far as {name}")


class ObservedEdges:
    """main.Edges with an observer. `before` is called before each step, with its name and how often it began before."""

    def __init__(self, edges: Any, observer: Observer, before: Callable[[str, int], object]) -> None:
        self._edges = edges
        self._observer = observer
        self._before = before
        self._counts: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._edges, name)
        if name in SILENT or name.startswith("_") or not callable(step):
            return step
        return lambda *args: self._take(name, step, args)

    def _take(self, name: str, step: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if name in AFTER_THE_RECORDING:
            raise EndedError("the failure is told")
        self._before(name, self._counts.get(name, 0))
        self._counts[name] = self._counts.get(name, 0) + 1
        self._observer.began(name)
        self._prepare(name, args)
        try:
            result = step(*args)
        except Exception as error:
            failure = f"{error.stage}: {error.message}" if isinstance(error, AgentError) else f"{type(error).__name__}: {error}"
            self._observer.ended(name, failure, "")
            raise
        self._observer.ended(name, "", DECIDED[name](result) if name in DECIDED else "")
        return result

    def _prepare(self, name: str, args: tuple[Any, ...]) -> None:
        if name == "ask_plan" and self._counts[name] == 1:
            args[2].last_attempt = args[2].last_attempt or earlier_failure(self._observer.tape)
        elif name == "load_kexec" and WAYS[self._observer.tape.arch].by_agent:
            self._observer.loads_itself(args[0])


def earlier_failure(tape: Tape) -> LastAttempt | None:
    """What the recorded boot still had to tell of the one before it."""
    told = tape.report.get("last_attempt")
    try:
        return LastAttempt.from_fields(Fields(told, "last_attempt")) if isinstance(told, dict) else None
    except FieldError:
        return None
