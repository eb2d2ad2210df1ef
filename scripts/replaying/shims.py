"""Puts the agent into a simulation: its clocks, threads, locks and queues are the simulation's, and no module of it is changed.

What the agent's modules took from Python's library at import is exchanged in their namespaces, and put back afterwards.
"""

import importlib
import inspect
import pkgutil
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType
from typing import Any

import bootpilot_agent
from bootpilot_agent.attention import Worker
from scripts.replaying.simulation import Simulation, Spawned


class SimulatedTime:
    """The module `time` as far as the agent uses it. `real_s`: what the board's wall clock said when the boot began."""

    def __init__(self, simulation: Simulation, real_s: float) -> None:
        self.monotonic = simulation.monotonic
        self.sleep = simulation.sleep
        self._simulation = simulation
        self._real_s = real_s

    def time(self) -> float:
        return self._real_s + self._simulation.now_s


class SimulatedCondition:
    """One thread runs at a time, so nothing has to be locked: only waiting is left."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def __enter__(self) -> None:
        return None

    def __exit__(self, *ignored: object) -> None:
        return None

    def notify_all(self) -> None:
        """Who waits looks for himself."""

    def wait_for(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        return self._simulation.wait(lambda: bool(ready()), timeout)


class SimulatedThread:
    """threading.Thread, as far as the agent uses it."""

    def __init__(
        self, simulation: Simulation, target: Callable[..., object], args: tuple[Any, ...] = (), **ignored: object
    ) -> None:
        self._simulation = simulation
        self._work = lambda: target(*args)

    def start(self) -> None:
        self._simulation.spawn(self._work)


class SimulatedTimer:
    """What the agent sets one for is to cut a socket, and there are none here."""

    def __init__(self, *ignored: object) -> None:
        self.daemon = True

    def start(self) -> None:
        """Never goes off."""

    def cancel(self) -> None:
        """Never goes off."""


class SimulatedLock:
    """A thread that has it may wait for something else meanwhile."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._is_held = False

    def __enter__(self) -> None:
        self._simulation.wait(lambda: not self._is_held)
        self._is_held = True

    def __exit__(self, *ignored: object) -> None:
        self._is_held = False


class SimulatedQueue:
    """queue.SimpleQueue, as far as the agent uses it."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._items: list[Any] = []

    def put(self, item: Any) -> None:
        self._items.append(item)

    def get(self, timeout: float | None = None) -> Any:
        if not self._simulation.wait(lambda: bool(self._items), timeout):
            raise queue.Empty
        return self._items.pop(0)

    def empty(self) -> bool:
        return not self._items


class Instead:
    """A module with some of its names exchanged."""

    def __init__(self, module: ModuleType, names: Mapping[str, object]) -> None:
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@contextmanager
def agent_in(simulation: Simulation, real_s: float, more_defaults: Mapping[int, object]) -> Iterator[None]:
    """The whole agent lives in this simulation. `more_defaults`: id of a default argument -> what is used instead of it."""
    clock = SimulatedTime(simulation, real_s)
    instead = {
        "time": Instead(time, {**vars(clock), "time": clock.time}),
        "queue": Instead(queue, {"SimpleQueue": lambda: SimulatedQueue(simulation)}),
        "threading": _threading(simulation),
    }
    clocks = {id(time.monotonic): clock.monotonic, id(time.sleep): clock.sleep, id(time.time): clock.time}
    defaults = {**clocks, **more_defaults}
    with ExitStack() as stack:
        for module in agent_modules():
            for name, stand_in in instead.items():
                if vars(module).get(name) in (time, queue, threading):
                    stack.enter_context(exchanged(module, name, stand_in))
            for function in _functions(module):
                stack.enter_context(_defaults_exchanged(function, defaults))
        for name, method in _worker_methods(simulation).items():
            stack.enter_context(exchanged(Worker, name, method))
        yield


@contextmanager
def exchanged(owner: object, name: str, value: object) -> Iterator[None]:
    """`owner.name` is another one meanwhile."""
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def agent_modules() -> list[ModuleType]:
    """All of them: one that a step imports late must not come with a clock of its own."""
    found = pkgutil.walk_packages(bootpilot_agent.__path__, "bootpilot_agent.")
    return [importlib.import_module(info.name) for info in found if not info.name.endswith("__main__")]


def _threading(simulation: Simulation) -> Instead:
    return Instead(
        threading,
        {
            "Thread": lambda **options: SimulatedThread(simulation, **options),
            "Condition": lambda: SimulatedCondition(simulation),
            "Lock": lambda: SimulatedLock(simulation),
            "Timer": SimulatedTimer,
        },
    )


def _worker_methods(simulation: Simulation) -> dict[str, Callable[..., object]]:
    """attention.Worker is a thread by inheritance."""
    running: dict[int, Spawned] = {}

    def start(worker: Worker[object]) -> None:
        running[id(worker)] = simulation.spawn(worker.run)

    def join(worker: Worker[object], timeout: float | None = None) -> None:
        running[id(worker)].join(timeout)

    def is_alive(worker: Worker[object]) -> bool:
        return id(worker) in running and not running[id(worker)].is_done

    return {"start": start, "join": join, "is_alive": is_alive}


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    for value in vars(module).values():
        if inspect.isfunction(value) and value.__module__ == module.__name__:
            yield value
        elif inspect.isclass(value) and value.__module__ == module.__name__:
            for member in vars(value).values():
                inner = getattr(member, "__func__", member)
                if inspect.isfunction(inner):
                    yield inner


@contextmanager
def _defaults_exchanged(function: FunctionType, instead: Mapping[int, object]) -> Iterator[None]:
    before, named = function.__defaults__, function.__kwdefaults__
    if before:
        function.__defaults__ = tuple(instead.get(id(value), value) for value in before)
    if named:
        function.__kwdefaults__ = {name: instead.get(id(value), value) for name, value in named.items()}
    try:
        yield
    finally:
        function.__defaults__, function.__kwdefaults__ = before, named
