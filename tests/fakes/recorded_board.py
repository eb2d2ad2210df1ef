"""A board with the flight recorder on, as `__main__` starts it: the same doors, steps and sending."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bootpilot_agent.flight import Agent, Flight
from bootpilot_agent.main import keep_booting
from bootpilot_agent.recorded_edges import recorded
from bootpilot_agent.report import FEATURES
from bootpilot_agent.run import Completed
from bootpilot_agent.taps import listen, stop_listening, tap
from tests.fakes.board import Ended, Ending, FakeBoard, RecordingRun


class HeardRun(RecordingRun):
    """The board's programs, at a door that is heard as the real one is."""

    def __call__(self, argv: Sequence[str], *, timeout_s: float, check: bool = True) -> Completed:
        done = super().__call__(argv, timeout_s=timeout_s, check=check)
        tap().ran(argv, done.returncode, done.stdout, done.stderr)
        return done


@dataclass
class RecordedBoard(FakeBoard):
    """`flight` is the recorder of the last boot."""

    run: RecordingRun = field(default_factory=HeardRun)
    flight: Flight = field(init=False)

    def boot(self) -> Ending:
        edges = self.edges()
        build = edges.build
        agent = Agent(build.agent_version, build.build_id, build.arch, FEATURES[build.arch])
        self.flight = Flight(agent, self.root, edges.say)
        edges.pack_recording = self.flight.pack
        listen(self.flight)
        try:
            return Ending(exit_code=keep_booting(recorded(edges, self.flight)))
        except Ended as ended:
            return Ending(how=ended.how)
        finally:
            stop_listening()
