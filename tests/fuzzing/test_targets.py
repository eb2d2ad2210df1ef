"""Any bytes are parsed or refused by name: what is kept, and what hypothesis makes of it. fuzz.py looks deeper."""

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpilot_agent.fields import FieldError
from tests.fuzzing.targets import CORPORA, TARGETS, Target, corpus, run_target

ROOT = Path(__file__).resolve().parents[2]
# No test of time: what takes so long never ends.
ENDLESS_S = 60


@contextmanager
def ending() -> Iterator[None]:
    """Raises in the middle of what does not end."""

    def stop(*_: object) -> None:
        raise TimeoutError("a parser did not end")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(ENDLESS_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def mutants(name: str) -> st.SearchStrategy[bytes]:
    """A kept input with pieces cut out, doubled, exchanged or overwritten; or anything."""
    seeds = corpus(name)

    def mutate(seed: int) -> bytes:
        chance = random.Random(seed)  # noqa: S311
        content = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            start = chance.randint(0, len(content))
            end = min(len(content), start + chance.choice((1, 2, 4, 16, 64)))
            piece = chance.choice(
                (b"", content[start:end] * 3, bytes([chance.randrange(256)]), b"\xff\xff\xff\xff", b"0", b"\n", b"\0")
            )
            content[start:end] = piece
        return bytes(content)

    return st.one_of(st.integers(0, 1 << 32).map(mutate), st.binary(max_size=400))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=50)
@given(data=st.data())
def test_any_bytes_are_parsed_or_refused_by_name(name: str, data: st.DataObject) -> None:
    content = data.draw(mutants(name))
    with ending():
        run_target(TARGETS[name], content)


@pytest.mark.parametrize("path", sorted(CORPORA.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_is_kept_is_parsed_or_refused_by_name(path: Path) -> None:
    with ending():
        run_target(TARGETS[path.parent.name], path.read_bytes())


def test_every_target_has_a_corpus_and_something_in_it_is_parsed() -> None:
    assert {path.name for path in CORPORA.iterdir()} == set(TARGETS)
    for name, target in TARGETS.items():
        outcomes = [_parses(target, content) for content in corpus(name)]
        assert any(outcomes), name


def _parses(target: Target, content: bytes) -> bool:
    try:
        target.parse(content)
    except target.errors:
        return False
    return True


def test_an_error_that_is_not_the_targets_own_is_shown() -> None:
    def parse(content: bytes) -> int:
        return content[3]

    with pytest.raises(IndexError):
        run_target(Target(parse, (FieldError,)), b"")


@pytest.mark.long
def test_the_coverage_guided_fuzzer_finds_nothing() -> None:
    done = subprocess.run([str(ROOT / "scripts/fuzz"), "--seconds", "30"], capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.count("nothing found") == len(TARGETS)
