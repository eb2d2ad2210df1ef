"""The parts of the fault matrix: what it does to answers and frames, how it judges, and its table."""

import random
import struct
from pathlib import Path

import pytest

from bootpilot_agent.cpio import regular, write_cpio
from scripts.faults import table
from scripts.faults.__main__ import choose, main
from scripts.faults.bad_cable import Weather
from scripts.faults.dhcp_server import MAGIC, read_options
from scripts.faults.errors import FaultsError
from scripts.faults.outcome import Came, Loader, Outcome, is_verified
from scripts.faults.servers import distort, make_payload
from scripts.lab.scripted_server import Reply
from scripts.scenarios.reading import read_rows
from scripts.scenarios.scenario import Expect, Fault, KernelKind, Part, Runner, Scenario, Server, Wear

GOOD = Reply(200, bytes(1000), (("ETag", '"x"'),), ranges=True)


def own_archive(path: Path) -> bytes:
    with path.open("wb") as stream:
        write_cpio([regular("bootpilot/boot.json", b"{}")], stream)
    return path.read_bytes()


def test_what_the_plan_names_is_verified_also_with_the_agents_own_archive_behind_it(tmp_path: Path) -> None:
    payload = make_payload(Server(kernel_bytes=8192, initrd_bytes=1001))
    digests = (payload.kernel_sha256, payload.initrd_sha256, 1001)
    assert is_verified(payload.kernel, payload.initrd, *digests)
    assert is_verified(payload.kernel, payload.initrd + b"\0\0\0" + own_archive(tmp_path / "a"), *digests)


@pytest.mark.parametrize("change", ["kernel", "initrd", "short", "foreign"])
def test_anything_else_is_an_unverified_boot(change: str) -> None:
    payload = make_payload(Server(kernel_bytes=8192, initrd_bytes=1001))
    kernel, initrd = payload.kernel, payload.initrd
    if change == "kernel":
        kernel = kernel[:-1] + bytes([kernel[-1] ^ 1])
    initrd = {"initrd": b"x" + initrd[1:], "short": initrd[:-1], "foreign": initrd + b"more"}.get(change, initrd)
    assert not is_verified(kernel, initrd, payload.kernel_sha256, payload.initrd_sha256, 1001)


def outcome(came: Came, name: str = "nothing-wrong", loader: Loader = Loader.AGENT, *, verified: bool = True) -> Outcome:
    return Outcome(name, loader, came, 3.4, verified, 1, "last words")


@pytest.mark.parametrize(
    ("came", "expect", "met"),
    [
        (Came.BOOTED, Expect.BOOTS, True),
        (Came.REFUSED, Expect.REFUSES, True),
        (Came.BOOTED, Expect.REFUSES, False),
        (Came.NOTHING, Expect.BOOTS, False),
        (Came.DEAD, Expect.BOOTS, False),
    ],
)
def test_an_outcome_is_as_it_must_be_or_not(came: Came, expect: Expect, *, met: bool) -> None:
    assert outcome(came).meets(expect) is met
    assert not outcome(came, verified=False).meets(expect)
    assert Outcome.from_json(outcome(came).to_json()) == outcome(came)


def test_a_payload_that_cannot_run_has_the_digest_that_the_plan_names() -> None:
    for kind in KernelKind:
        payload = make_payload(Server(kernel_bytes=8192, kernel=kind))
        assert is_verified(payload.kernel, payload.initrd, payload.kernel_sha256, payload.initrd_sha256, len(payload.initrd))
    assert len(make_payload(Server(kernel_bytes=8192, kernel=KernelKind.TRUNCATED)).kernel) == 4096


def test_each_fault_changes_the_answer_in_its_own_way() -> None:
    def with_fault(**values: object) -> Reply:
        return distort(GOOD, Fault(Part.INITRD, **values))  # type: ignore[arg-type]

    assert with_fault() == GOOD
    assert with_fault(status=503, headers=(("Retry-After", "3"),)).status == 503
    assert with_fault(lost=True).lost
    assert (with_fault(reset_at=0.5).cut_after, with_fault(reset_at=0.5).reset) == (500, True)
    assert (with_fault(cut_at=0.7).cut_after, with_fault(cut_at=0.7).reset) == (700, False)
    assert with_fault(stall_at=0.2).stall_after == 200
    assert [place for place, byte in enumerate(with_fault(flip_at=0.9).body) if byte] == [900]
    assert with_fault(claim_bytes=7).length == 7
    assert (with_fault(endless=True).endless, with_fault(endless=True).length) == (True, None)
    assert with_fault(slow_headers=True).drip_headers
    assert not with_fault(ignore_range=True).ranges
    assert ("Content-Encoding", "gzip") in with_fault(encoded=True).headers


def test_a_bad_cable_does_to_frames_what_it_says() -> None:
    frames = [struct.pack("!I", number) * 20 for number in range(200)]

    def carried(wear: Wear) -> list[bytes]:
        weather = Weather(wear, random.Random("seed"))  # noqa: S311
        for frame in frames:
            weather.take(frame, 0.0)
        return weather.due(1.0)

    assert carried(Wear()) == frames
    assert carried(Wear(loss=1)) == []
    assert 100 < len(carried(Wear(loss=0.2))) < 200
    assert sorted(carried(Wear(double=1))) == sorted(frames * 2)
    damaged = carried(Wear(damage=1))
    assert all(sum((a ^ b).bit_count() for a, b in zip(*pair, strict=True)) == 1 for pair in zip(frames, damaged, strict=True))
    reordered = carried(Wear(delay_ms=10, reorder=0.3))
    assert reordered != frames
    assert sorted(reordered) == frames
    assert carried(Wear(delay_ms=2000)) == []


def test_dhcp_options_are_read_and_what_is_no_packet_is_refused() -> None:
    assert list(read_options(MAGIC + bytes([53, 1, 1, 0, 61, 2, 9, 8, 255, 12, 1, 1]))) == [(53, b"\x01"), (61, b"\x09\x08")]
    with pytest.raises(ValueError, match="no DHCP"):
        list(read_options(b"nonsense"))


def test_the_table_has_shares_medians_and_the_unverified(tmp_path: Path) -> None:
    rows = {
        "nothing-wrong": Scenario("nothing-wrong", "Nothing is wrong", "0-nothing-wrong"),
        "bad": Scenario("bad", "Bad bytes", "3-server", Expect.REFUSES, not_yet="nobody knows"),
    }
    outcomes = [
        outcome(Came.BOOTED),
        outcome(Came.NOTHING),
        outcome(Came.DEAD, loader=Loader.SCRIPT, verified=False),
        outcome(Came.REFUSED, "bad"),
    ]
    text = table.render(rows, outcomes, 3.0)
    assert "| nothing-wrong | Nothing is wrong | 1/2 | 3 | 0/1, 1 dead |  | 1 |" in text
    assert "| bad | Bad bytes (*refuses*). Not yet: nobody knows | 1/1 | 3 |  |  | 0 |" in text
    assert "The agent: 2 of 3 runs as they must be, 1 of 2 rows in every run." in text
    assert text.endswith("Unverified boots: 1.\n")


def test_rows_are_chosen_by_name_or_by_how_long_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    rows = read_rows()
    assert [row.name for row in choose(rows, ["link-flaps"], quick=False, qemu=False)] == ["link-flaps"]
    quick = choose(rows, [], quick=True, qemu=False)
    assert 3 <= len(quick) < len(rows)
    everything = choose(rows, [], quick=False, qemu=True)
    assert {row.runner for row in everything} == set(Runner)
    with pytest.raises(FaultsError, match="there is no row 'none'"):
        choose(rows, ["none"], quick=False, qemu=False)
    assert main(["none"]) == 2
    assert "--list shows all" in capsys.readouterr().err
    assert main(["--list", "link-flaps"]) == 0
    assert "link-flaps" in capsys.readouterr().out
