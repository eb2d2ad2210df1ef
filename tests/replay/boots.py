"""Boots that are recorded in process, by the agent's own recorder, for what replays them."""

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.replaying.in_process import play
from scripts.replaying.performed import Performed
from scripts.replaying.stand_ins import make_stand_ins
from scripts.replaying.tape import Tape
from scripts.replaying.tape_reading import read_tape
from scripts.replaying.verdict import Verdict, judge
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.kernels import bzimage
from tests.fakes.recorded_board import RecordedBoard
from tests.fakes.scripted_server import Reply

KERNEL, INITRD = bzimage(20_000), b"initrd" * 1000
SetUp = Callable[[FakeBootServer], object]


def record(
    folder: Path, set_up: SetUp = lambda server: None, *, shell: bool = True, files: Mapping[str, bytes] | None = None
) -> list[bytes]:
    """The recordings that a board sends of a boot from this server, one for each try that told of itself. `files` of the board
    by path.
    """
    with FakeBootServer() as server:
        server.offer(KERNEL, INITRD, b"more" * 250)
        server.on("PUT", "/v1/boots/*", Reply(200, b"{}"))
        server.edits.append(lambda plan: plan.update({"record": True}))
        set_up(server)
        board = RecordedBoard(folder, servers=(server.url,), shell=shell, serial="1000abcd")
        for name, content in (files or {}).items():
            (board.root / name).parent.mkdir(parents=True, exist_ok=True)
            (board.root / name).write_bytes(content)
        board.boot()
        return [one.body for one in server.requests if one.method == "PUT" and one.path.endswith("/recording")]


def replay(raw: bytes, until: str = "") -> tuple[Verdict, Performed]:
    """Once, in process."""
    tape = read_tape(raw)
    return replay_tape(tape.cut(until) if until else tape)


def replay_tape(tape: Tape) -> tuple[Verdict, Performed]:
    """The same for a tape."""
    performed = play(tape, make_stand_ins(tape))
    return judge(tape, performed), performed


def path_of(server: FakeBootServer, part: str) -> str:
    """Where the kernel, or the first initrd, is had."""
    row = server.boot[part]
    first = row[0] if isinstance(row, list) else row
    assert isinstance(first, dict)
    return f"/artifacts/sha256/{first['sha256']}"


def changed(raw: bytes, *words: tuple[str, str]) -> bytes:
    """The recording with some of its words exchanged."""
    text = gzip.decompress(raw).decode()
    for before, after in words:
        assert before in text
        text = text.replace(before, after)
    return gzip.compress(text.encode())
