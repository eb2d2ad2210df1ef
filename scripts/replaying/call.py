"""What the harness outside of the namespaces and the one inside tell each other: files in one folder."""

import base64
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.faults.stage import give_away
from scripts.replaying.board_tree import BoardTree
from scripts.replaying.played import Asked
from scripts.replaying.script import Script
from scripts.replaying.stand_ins import StandIn
from scripts.replaying.tape import Tape
from scripts.replaying.tape_reading import read_tape
from scripts.scenarios.reading import read_rows
from scripts.scenarios.scenario import Scenario

IDENTITY = "bootpilot/identity"
# Where the agent finds what a loader before it read from the card: a namespace has no disks.
CARD_COPY, CARD_MOUNT, NOTE = "bootpilot/card/", "run/bootpilot/card/", "bootpilot/boot.json"
EMPTY_NOTE = '{"version": 1, "loader_builds": []}\n'
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
# Before it every clock is wrong, and that is part of the boot.
CREDIBLE_S = 1_600_000_000
# How a replay ends that came to the jump.
JUMP = "kexec -e"
# On top of the recorded boot's time: a busy machine, and udhcpc's pauses.
MORE_S = 90.0


@dataclass(frozen=True)
class Call:
    """One replay, as the inside needs it."""

    tape: Tape
    stand_ins: list[StandIn]
    fault: Scenario | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def limit_s(self) -> float:
        return max(0.0, self.tape.ended_ms / 1000) * 1.5 + MORE_S + (self.fault.limit_s if self.fault else 0)

    @property
    def command_line(self) -> str:
        """Without the card, whose settings come as if a loader before had read them."""
        words = self._texts().get("proc/cmdline", "").split()
        return " ".join(word for word in words if not word.startswith("bootpilot.card="))

    @property
    def environment(self) -> Mapping[str, str]:
        clock_s = self.tape.real_s
        if clock_s is None or clock_s >= CREDIBLE_S:
            return {}
        return {"LD_PRELOAD": "/usr/lib/board-clock.so", "BOARD_CLOCK": str(clock_s)}

    def files(self, ca: str) -> dict[str, str]:
        """The card's settings and the note of a loader before; with this CA in place of the recorded one."""
        found = {
            name.replace(CARD_MOUNT, CARD_COPY): CERTIFICATE.sub(lambda _: ca, text) if ca else text
            for name, text in self._texts().items()
            if name.startswith((CARD_COPY, CARD_MOUNT)) or name == NOTE
        }
        return {NOTE: EMPTY_NOTE, **found} if found else {}

    def _texts(self) -> dict[str, str]:
        return {one.line.path: one.line.content.decode(errors="replace") for one in reversed(self.tape.readings)}


@dataclass(frozen=True)
class Place:
    """The folder of one replay. `record`: what the board's stand-ins for programs leave; `identity`: who the board is."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "record"

    @property
    def console(self) -> Path:
        return self.folder / "console"

    @property
    def identity(self) -> Path:
        tree = self.folder / "tree"
        return tree / IDENTITY if (tree / IDENTITY).is_dir() else tree

    def write_call(self, call: Call) -> None:
        """Everything the inside reads, for a user without rights. Raises OSError."""
        (self.folder / "tape.bootrec").write_bytes(call.tape.raw)
        rows = []
        for number, one in enumerate(call.stand_ins):
            (self.folder / f"file-{number}").write_bytes(one.content)
            rows.append({"role": one.role, "recorded": one.recorded, "real": one.real, "file": f"file-{number}"})
        (self.folder / "call.json").write_text(
            json.dumps({"until": call.tape.until, "fault": call.fault.name if call.fault else "", "stand_ins": rows})
        )
        tree = BoardTree(self.folder / "tree", call.tape)
        tree.write()
        tree.follow(call.tape.plans[0].at_ms if call.tape.plans else call.tape.ended_ms)
        self.folder.chmod(0o755)
        give_away(self.folder)

    def read_call(self) -> Call:
        """Raises ReplayError, OSError."""
        told = json.loads((self.folder / "call.json").read_text())
        tape = read_tape((self.folder / "tape.bootrec").read_bytes())
        stand_ins = [
            StandIn(row["role"], row["recorded"], (self.folder / row["file"]).read_bytes(), real=row["real"])
            for row in told["stand_ins"]
        ]
        fault = read_rows()[told["fault"]] if told["fault"] else None
        return Call(tape.cut(told["until"]) if told["until"] else tape, stand_ins, fault)

    def write_asked(self, how: str, script: Script) -> None:
        """What was asked, in order. Raises OSError."""
        rows = [{**vars(met.asked), "body": base64.b64encode(met.asked.body).decode()} for met in list(script.met)]
        (self.folder / "asked.json").write_text(json.dumps({"how": how, "asked": rows}))

    def read_asked(self) -> tuple[str, list[Asked]]:
        """How it ended, and the requests. Raises OSError."""
        told = json.loads((self.folder / "asked.json").read_text())
        return told["how"], [Asked(**{**row, "body": base64.b64decode(row["body"])}) for row in told["asked"]]
