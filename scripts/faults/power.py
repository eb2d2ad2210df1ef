"""The power switch of the simulated board: a process of its own that forks boards, made before any thread is started.

A board is a process that becomes the loader's /init, PID 1 in its own PID, network and mount namespaces: switched off,
everything that it started is gone, as from memory.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any, NoReturn

from scripts.faults.board_root import BoardRoot, build_root
from scripts.faults.confinement import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, prove_confined, unshare
from scripts.faults.errors import FaultsError

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "linux"}


class PowerSwitch:
    """`on` makes a board whose first program waits for `go`, so that its network can be plugged in; `off` ends it."""

    def __init__(self, outside: Mapping[str, str]) -> None:
        ours, theirs = os.pipe(), os.pipe()
        self._helper = os.fork()
        if self._helper == 0:
            os.close(ours[1])
            os.close(theirs[0])
            with os.fdopen(ours[0]) as orders, os.fdopen(theirs[1], "w") as answers:
                _serve(orders, answers, outside)
        os.close(ours[0])
        os.close(theirs[1])
        self._orders, self._answers = os.fdopen(ours[1], "w"), os.fdopen(theirs[0])

    def on(self, root: BoardRoot, console: str, environment: Mapping[str, str]) -> int:
        """The process id of the board's first program. Raises FaultsError."""
        return self._ask({"do": "on", "root": asdict(root), "console": console, "environment": dict(environment)})

    def go(self) -> None:
        """Let /init begin. Raises FaultsError."""
        self._ask({"do": "go"})

    def off(self) -> None:
        """Power off at once, as by the plug. Raises FaultsError."""
        self._ask({"do": "off"})

    def _ask(self, order: dict[str, object]) -> int:
        print(json.dumps(order), file=self._orders, flush=True)
        answer = self._answers.readline().strip()
        if not answer.isdigit():
            raise FaultsError(f"the simulated board could not be switched {order['do']}: {answer or 'no answer'}")
        return int(answer)


def _serve(orders: IO[str], answers: IO[str], outside: Mapping[str, str]) -> NoReturn:
    board, middle, go = 0, 0, -1
    for line in orders:
        order = json.loads(line)
        if order["do"] == "on":
            board, middle, go = _make_board(order, outside)
        elif order["do"] == "go":
            os.write(go, b"1")
        elif board:
            os.kill(board, signal.SIGKILL)
            os.waitpid(middle, 0)
            os.close(go)
            board = 0
        print(board, file=answers, flush=True)
    os._exit(0)


def _make_board(order: dict[str, Any], outside: Mapping[str, str]) -> tuple[int, int, int]:
    """(first program, its parent, where to write when it may begin). A new PID namespace begins with the next child."""
    told, tell = os.pipe()
    begin, go = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.close(go)
        unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID)
        first = os.fork()
        if first == 0:
            _become_board(order, begin, outside)
        os.write(tell, str(first).encode())
        os.close(tell)
        os.waitpid(first, 0)
        os._exit(0)
    os.close(tell)
    os.close(begin)
    first = int(os.read(told, 64) or b"0")
    os.close(told)
    return first, middle, go


def _become_board(order: dict[str, Any], begin: int, outside: Mapping[str, str]) -> NoReturn:
    """Never comes back: /init, or an end with the reason on the console."""
    console = os.open(str(order["console"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open("/dev/null", os.O_RDONLY)
    for target, source in ((0, nothing), (1, console), (2, console)):
        os.dup2(source, target)
    try:
        os.read(begin, 1)
        os.setsid()
        build_root(BoardRoot(**{**order["root"], "lower": tuple(order["root"]["lower"])}))
        prove_confined(outside)
        os.closerange(3, 1024)
        os.execve("/init", ["/init"], {**ENVIRONMENT, **order["environment"]})  # noqa: S606 # becomes that program
    except BaseException:  # nothing of the harness may go on in here
        traceback.print_exc(file=sys.stderr)
    os._exit(1)
