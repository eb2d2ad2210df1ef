"""Events in few requests, never in the way of the boot."""

import threading
from dataclasses import dataclass, field

import pytest

from bootpilot_agent.errors import ServerError, TransportError
from bootpilot_agent.events import MAX_EVENTS_PER_REQUEST, EventName, events_from_json
from bootpilot_agent.fields import MAX_BODY_BYTES
from bootpilot_agent.journal import Journal
from tests.fakes.scripted_server import wait_until


@dataclass
class RecordingSender:
    """What would have gone to the server; `troubles` are raised first, one each."""

    batches: list[list[EventName]] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    longest_bytes: int = 0
    logs: list[bytes] = field(default_factory=list)
    recordings: list[bytes] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)

    def send_events(self, body: bytes) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        events = events_from_json(body)
        self.batches.append([event.name for event in events])
        self.longest_bytes = max(self.longest_bytes, len(body))
        self.sequences += [event.seq for event in events]

    @property
    def told(self) -> list[EventName]:
        return [name for batch in self.batches for name in batch]

    def send_recording(self, packed: bytes) -> None:
        self.recordings.append(packed)

    def send_log(self, text: bytes) -> None:
        self.logs.append(text)


@pytest.fixture
def sender() -> RecordingSender:
    return RecordingSender()


def test_what_happened_before_the_plan_goes_out_with_it_in_one_request(sender: RecordingSender) -> None:
    journal = Journal()
    journal.add(EventName.STARTED)
    journal.add(EventName.NETWORK_UP, interface="eth0")
    assert not journal.flush(0.01)
    journal.open(sender)
    assert wait_until(lambda: len(sender.batches) == 1)
    assert sender.batches == [[EventName.STARTED, EventName.NETWORK_UP]]
    journal.close()


def test_later_events_wait_for_the_flush(sender: RecordingSender) -> None:
    journal = Journal()
    journal.open(sender)
    for name in (EventName.FETCHED, EventName.LOADED, EventName.HANDOVER):
        journal.add(name)
    assert journal.flush(5, b"all that was said")
    assert sender.told == [EventName.FETCHED, EventName.LOADED, EventName.HANDOVER]
    assert sender.logs == [b"all that was said"]
    assert sender.sequences == [0, 1, 2]
    journal.close()


def test_a_server_that_takes_nothing_costs_the_flush_its_time_and_no_more() -> None:
    hanging = threading.Event()

    class Hanging(RecordingSender):
        def send_events(self, body: bytes) -> None:
            hanging.wait()

    journal = Journal()
    journal.add(EventName.STARTED)
    journal.open(Hanging())
    assert not journal.flush(0.1)
    hanging.set()
    journal.close()


def test_what_was_lost_is_sent_again_and_only_once(sender: RecordingSender) -> None:
    sender.troubles = [TransportError("reset")]
    journal = Journal()
    journal.add(EventName.STARTED)
    journal.open(sender)
    assert wait_until(lambda: not sender.troubles)
    assert journal.flush(5)
    assert sender.batches == [[EventName.STARTED]]
    journal.close()


def test_a_fault_in_sending_does_not_end_the_sending(sender: RecordingSender) -> None:
    sender.troubles = [KeyError("a bug"), TransportError("reset")]
    journal = Journal()
    journal.add(EventName.STARTED)
    journal.open(sender)
    assert wait_until(lambda: len(sender.troubles) < 2)
    assert not journal.flush(0.5)
    assert journal.flush(5)
    assert sender.batches == [[EventName.STARTED]]
    journal.close()


def test_what_the_server_refuses_is_not_sent_for_ever(sender: RecordingSender) -> None:
    sender.troubles = [ServerError("no such boot")]
    journal = Journal()
    journal.add(EventName.STARTED)
    journal.open(sender)
    assert wait_until(lambda: not sender.troubles)
    assert journal.flush(5)
    assert sender.batches == []
    journal.close()


def test_a_failure_that_the_server_refuses_to_hear_of_counts_as_not_told(sender: RecordingSender) -> None:
    journal = Journal()
    journal.open(sender)
    sender.troubles = [ServerError("this token is no longer good")]
    journal.add(EventName.FAILED)
    assert not journal.flush(5)
    journal.add(EventName.STARTED)
    assert journal.flush(5)
    journal.close()


def test_progress_is_told_ever_more_seldom(sender: RecordingSender) -> None:
    now = [0.0]
    journal = Journal(lambda: now[0])
    for second in range(1, 301):
        now[0] = float(second)
        journal.progress(second, 300)
    journal.open(sender)
    assert journal.flush(5)
    assert set(sender.told) == {EventName.FETCHING}
    assert 3 < len(sender.told) < 10


def test_a_board_that_waits_for_months_keeps_a_bounded_list(sender: RecordingSender) -> None:
    journal = Journal()
    journal.add(EventName.STARTED)
    for _ in range(MAX_EVENTS_PER_REQUEST * 3):
        journal.add(EventName.FETCHING)
    journal.open(sender)
    assert journal.flush(5)
    assert len(sender.told) == MAX_EVENTS_PER_REQUEST
    assert sender.told[0] is EventName.STARTED


def test_a_full_batch_stays_within_what_a_server_takes(sender: RecordingSender) -> None:
    journal = Journal()
    for _ in range(MAX_EVENTS_PER_REQUEST):
        journal.add(EventName.FETCHING, bytes=2**40, total_bytes=2**40)
    journal.open(sender)
    assert journal.flush(5)
    assert sender.longest_bytes < MAX_BODY_BYTES
    journal.close()


def test_a_recording_is_made_and_sent_after_the_log(sender: RecordingSender) -> None:
    journal = Journal()
    assert not journal.send_recording(lambda: b"nobody to send it to", 0.01)
    journal.open(sender)
    made: list[list[bytes]] = []

    def pack() -> bytes:
        made.append(list(sender.logs))
        return b"packed"

    assert journal.flush(60, b"the log")
    assert journal.send_recording(pack, 60)
    assert (sender.recordings, made) == ([b"packed"], [[b"the log"]])


def test_a_recording_that_cannot_be_made_holds_up_nobody(sender: RecordingSender) -> None:
    journal = Journal()
    journal.open(sender)
    assert not journal.send_recording(lambda: b"x" * (1 // 0), 0.01)
    journal.close()
    assert sender.recordings == []
