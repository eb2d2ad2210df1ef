"""Who can replay a boot. Each is imported when it is wanted: one needs the agent, one needs namespaces, one needs QEMU."""

from collections.abc import Callable
from dataclasses import dataclass

from scripts.replaying.playing import Play


@dataclass(frozen=True)
class Runner:
    """`load` imports it and gives what plays a tape; that raises ReplayError where it cannot play this one.

    `arch` is the one architecture that it has, "" for any.
    """

    name: str
    what: str
    load: Callable[[], Play]
    arch: str = ""


def _in_process() -> Play:
    from scripts.replaying.in_process import play

    return lambda tape, stand_ins, options: play(tape, stand_ins, options.fault)


def _namespace() -> Play:
    from scripts.replaying.namespace import play

    return play


def _qemu() -> Play:
    from scripts.replaying.qemu import play

    return play


IN_PROCESS, HOST = "in-process", "amd64"
RUNNERS = {
    row.name: row
    for row in (
        Runner(IN_PROCESS, "the agent's own modules on the recorded board's files, in virtual time", _in_process),
        Runner("namespace", "the frozen agent in network namespaces, with real sockets, in real time", _namespace, HOST),
        Runner("qemu", "a whole machine in QEMU, from firmware and card to the next kernel; minutes", _qemu),
    )
}
