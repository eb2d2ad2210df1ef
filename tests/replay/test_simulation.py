"""Virtual time: threads wait for each other and for time, in an order that no machine changes."""

from functools import partial

import pytest

from scripts.replaying.simulation import Simulation, StuckError


class TimeIsOverError(Exception):
    """For the main thread."""


def simulate(limit_s: float = 1e9) -> Simulation:
    return Simulation(limit_s, TimeIsOverError)


def test_an_hour_of_waiting_takes_no_time() -> None:
    with simulate().running() as simulation:
        for _ in range(3600):
            simulation.sleep(1.0)
        assert simulation.now_s == 3600.0


def test_threads_go_on_in_the_order_of_their_moments() -> None:
    said: list[tuple[float, str]] = []

    def speak(name: str, every_s: float) -> None:
        for _ in range(3):
            simulation.sleep(every_s)
            said.append((simulation.now_s, name))

    with simulate().running() as simulation:
        threads = [simulation.spawn(partial(speak, name, every_s)) for name, every_s in SPEAKERS]
        for thread in threads:
            thread.join()
        assert simulation.now_s == 15.0
    assert said == [(2, "b"), (3, "a"), (4, "b"), (5, "c"), (6, "a"), (6, "b"), (9, "a"), (10, "c"), (15, "c")]


SPEAKERS = (("a", 3.0), ("b", 2.0), ("c", 5.0))


def test_who_waits_for_something_goes_on_before_time_does() -> None:
    found: list[float] = []

    def find() -> None:
        simulation.sleep(2.0)
        found.append(simulation.now_s)

    with simulate().running() as simulation:
        simulation.spawn(find)
        assert simulation.wait(lambda: bool(found), 10.0)
        assert simulation.now_s == 2.0
        assert not simulation.wait(lambda: len(found) > 1, 10.0)
        assert simulation.now_s == 12.0


def test_a_thread_that_waits_for_ever_ends_with_the_simulation() -> None:
    ends: list[str] = []

    def wait() -> None:
        try:
            simulation.wait(lambda: False)
        finally:
            ends.append("ended")

    with simulate().running() as simulation:
        simulation.spawn(wait)
        simulation.sleep(1.0)
        assert ends == []
    assert ends == ["ended"]


def test_threads_that_only_wait_for_each_other_are_said_to_be_stuck() -> None:
    with simulate().running() as simulation:
        simulation.spawn(lambda: simulation.wait(lambda: False))
        with pytest.raises(StuckError, match="every thread waits for another one"):
            simulation.wait(lambda: False)


def test_time_is_over_at_its_limit() -> None:
    with simulate(limit_s=5.0).running() as simulation:
        simulation.sleep(4.0)
        with pytest.raises(TimeIsOverError):
            simulation.sleep(4.0)
