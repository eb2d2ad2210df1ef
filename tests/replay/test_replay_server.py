"""The recorded server on real sockets: an agent with its own HTTP library hears what the recorded one heard."""

from pathlib import Path

import pytest

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import TransportError
from bootpilot_agent.transport import Route, Transport
from scripts.replaying.breaks import Break
from scripts.replaying.performed import Performed, told_to
from scripts.replaying.played import Played
from scripts.replaying.replay_server import ReplayServer, to_reply
from scripts.replaying.script import Script
from scripts.replaying.stand_ins import make_stand_ins
from scripts.replaying.tape import Tape
from scripts.replaying.tape_reading import read_tape
from scripts.replaying.verdict import judge
from tests.fakes.board import FakeBoard
from tests.fakes.scripted_server import Reply, ScriptedServer
from tests.replay.boots import record
from tests.replay.test_in_process import BOOTS, only


def boot_from(tape: Tape, folder: Path) -> tuple[Script, FakeBoard]:
    """A board whose server is the recorded one, at another port."""
    script = Script(tape, make_stand_ins(tape))
    origin = tape.exchanges[0].line.url.removesuffix("/v1/")
    with (replayed := ReplayServer(script, origin, interface="lo")).server:
        script.aliases.pair(origin, replayed.server.url)
        board = FakeBoard(folder, servers=(replayed.server.url,), serial="1000abcd")
        board.boot()
    return script, board


@pytest.mark.parametrize("name", ["busy_then_lost", "reset_in_the_kernel", "cut_in_the_initrd", "with_a_secret_file"])
def test_over_sockets_the_same_boot_asks_the_same(name: str, tmp_path: Path) -> None:
    tape = read_tape(only(record(tmp_path / "recorded", BOOTS[name])))
    script, board = boot_from(tape, tmp_path / "replayed")
    assert board.run.loaded is not None, board.console
    left = [one for one in script.left if not one.line.url.endswith("offset=0")]
    told = told_to(script)
    verdict = judge(
        tape, Performed(tuple(script.met), tuple(left), tuple(told), tape.kexecs, "kexec -e", jumped=True, loose=True)
    )
    assert verdict.differences == ()


def test_a_request_that_was_not_recorded_is_answered_and_kept(tmp_path: Path) -> None:
    tape = read_tape(only(record(tmp_path)))
    script = Script(tape, make_stand_ins(tape))
    origin = tape.exchanges[0].line.url.removesuffix("/v1/")
    with ReplayServer(script, origin, interface="lo").server as server:
        transport = Transport(Route("lo"))
        answer = transport.ask("GET", f"{server.url}/something/else", deadline=Deadline.after(10))
        transport.close()
    assert answer.status == 503
    assert script.has_left_the_tape()
    assert [met.url for met in script.met] == [f"{origin}/something/else"]


@pytest.mark.parametrize(
    ("played", "words"),
    [
        (Played(None, {}, b"", Break.REFUSED), "Connection reset by peer"),
        (Played(None, {}, b"", Break.CLOSED), "Remote end closed connection without response"),
        (Played(200, {"content-length": "90"}, b"x" * 40, Break.CLOSED), "IncompleteRead"),
        (Played(200, {"content-length": "90"}, b"x" * 40, Break.SILENT), "not finished in time"),
        (Played(None, {}, b"", Break.SILENT), "not finished in time"),
    ],
)
def test_a_connection_breaks_as_it_broke(played: Played, words: str) -> None:
    transport = Transport(Route("lo"))
    with ScriptedServer() as server:
        server.on("GET", "/x", to_reply(played))
        with pytest.raises(TransportError, match=words):
            transport.ask("GET", f"{server.url}/x", deadline=Deadline.after(1))
        transport.close()


def test_each_byte_comes_when_it_came_and_not_before() -> None:
    """The marks go over as they are; the client measures nothing."""
    reply = to_reply(Played(200, {"content-length": "4", "etag": '"x"'}, b"abcd", marks=((20, 0), (30, 2), (40, 4)), ms=40))
    assert reply.marks == ((20, 0), (30, 2), (40, 4))
    assert reply.headers == (("etag", '"x"'),)
    transport = Transport(Route("lo"))
    with ScriptedServer() as server:
        server.on("GET", "/x", reply, Reply(200, b"next"))
        answers = [transport.ask("GET", f"{server.url}/x", deadline=Deadline.after(10)).body for _ in range(2)]
        transport.close()
    assert answers == [b"abcd", b"next"]
