"""The programs of the recorded board: each call is answered as it was then. Starts none.

kexec, reboot and poweroff end the replay where they ended the boot.
"""

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bootpilot_agent.errors import CommandError
from bootpilot_agent.kexec_syscalls import Segment
from bootpilot_agent.recording_lines import RunLine
from bootpilot_agent.run import Completed
from scripts.replaying.tape import Tape

ENDINGS = ("reboot", "poweroff")
# How a replay ends that came to the jump: by the program, or by the agent itself.
JUMPS = ("kexec -e", "kexec jump")


class EndedError(BaseException):
    """The replay is over; `how` says why. Nothing of the agent's catches it."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


@dataclass
class PlayedPrograms:
    """devices.Run. `root` is where the board's tree lies, which its own commands knew as /. `unknown`: what never ran then.

    `on_load` is told kexec's own words.
    """

    tape: Tape
    root: str
    on_load: Callable[[Sequence[str]], object] = field(default=lambda argv: None)
    unknown: list[str] = field(default_factory=list)
    _calls: dict[tuple[str, ...], int] = field(default_factory=dict)

    def __call__(self, argv: Sequence[str], *, timeout_s: float, check: bool = True) -> Completed:
        """Raises CommandError as the recorded call did; EndedError where nothing came after it."""
        words = tuple(word.replace(self.root, "") for word in argv)
        if words[:2] == ("kexec", "-l"):
            self.on_load(argv)
        recorded = self._next(words)
        if recorded is None:
            return self._without(words)
        if recorded.returncode is None:
            raise CommandError(f"{shlex.join(words)}: {recorded.stderr}")
        if check and recorded.returncode != 0:
            raise CommandError(f"{shlex.join(words)}: exit code {recorded.returncode}\n{recorded.stderr.strip()}")
        return Completed(recorded.returncode, recorded.stdout, recorded.stderr)

    def _next(self, words: tuple[str, ...]) -> RunLine | None:
        """The call of the same number; the last one where it was called less often."""
        same = [line for line in self.tape.programs if _key(line.argv) == _key(words)]
        number = self._calls.get(_key(words), 0)
        self._calls[_key(words)] = number + 1
        return same[min(number, len(same) - 1)] if same else None

    def _without(self, words: tuple[str, ...]) -> Completed:
        if words[0] in ENDINGS or " ".join(words) == JUMPS[0]:
            raise EndedError(" ".join(words))
        if words[0] != "kexec":
            self.unknown.append(shlex.join(words))
            raise CommandError(f"{shlex.join(words)}: the recorded board did not run this")
        return Completed(0, "", "")


def _key(words: Sequence[str]) -> tuple[str, ...]:
    """kexec's files lie elsewhere here, and its command line is compared by itself."""
    return tuple(words[:2]) if words[0] == "kexec" else tuple(words)


@dataclass(frozen=True)
class PlayedKexec:
    """kexec_syscalls.KexecSystem of a board whose agent loads by itself: the kernel says what it said, and the jump ends the
    replay. `refusal` is an error number, 0 for none.
    """

    refusal: int = 0

    def load(self, entry: int, segments: Sequence[Segment]) -> None:
        """Raises OSError."""
        self._answer()

    def load_files(self, kernel: int, initrd: int, command_line: str) -> None:
        """Raises OSError."""
        self._answer()

    def unload(self) -> None:
        """Done."""

    def jump(self) -> None:
        raise EndedError(JUMPS[1])

    def _answer(self) -> None:
        if self.refusal:
            raise OSError(self.refusal, os.strerror(self.refusal))
