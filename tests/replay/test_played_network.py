"""What a recorded network offers from which moment on."""

from bootpilot_agent.recording_lines import DhcpLine
from scripts.replaying.played_network import offers_of
from scripts.replaying.tape_reading import read_tape
from tests.replay.test_recordings import packed
from tests.replay.test_wiring import bound, report

FIRST, OTHER = "http://10.1.0.3", "http://10.1.0.4"


def urls_after(*lines: DhcpLine) -> list[tuple[str, ...] | None]:
    """Of each recorded event, the servers that were named by then; None where there was no lease."""
    offers = offers_of(read_tape(packed(*lines, report())))
    return [one.candidate.server_urls if one.candidate else None for one in offers[: len(lines)]]


def test_an_offer_that_was_not_taken_adds_its_server_to_the_lease_in_use() -> None:
    lease = bound("eth0", "10.1.0.78", opt224=FIRST.encode().hex())
    other = bound("eth0", "10.1.0.90", event="offer", opt224=OTHER.encode().hex())
    gone = DhcpLine("eth0", "event=deconfig\0")
    moved = bound("eth0", "10.1.0.79")
    assert urls_after(lease, other, lease, gone) == [(FIRST,), (FIRST, OTHER), (FIRST, OTHER), None]
    assert urls_after(bound("eth0", "10.1.0.78"), other, moved) == [(), (OTHER,), ()]


def test_an_offer_before_any_lease_is_nothing() -> None:
    assert urls_after(bound("eth0", "10.1.0.90", event="offer", opt224=OTHER.encode().hex())) == [None]
