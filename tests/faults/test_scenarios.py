"""Written boots: what can be read, and what is named when it cannot."""

import re
from pathlib import Path

import pytest

from scripts.scenarios.reading import ScenarioError, parse_rows, read_rows
from scripts.scenarios.scenario import Adapter, Do, Expect, Part, Runner

TABLE = Path(__file__).parents[2] / "scripts/faults/MATRIX.md"
WHOLE = """
[slow]
what = "Something is slow"
expect = "refuses"
limit_s = 30
server.bytes_per_s = 1000
server.far = true
lan = [{ name = "site", address = "10.1.0.1/24", wear.delay_ms = 10 }, { name = "other", address = "10.2.0.1/24" }]
adapter = [{ name = "eth0", lan = "other", mac = "52:54:00:12:34:05", cable = false }]
dhcp = [{ lan = "other", delay_s = 1.5, options = [[26, "0044"]] }]
fault = [{ part = "plan", times = 2, status = 503, headers = [["Retry-After", "3"]] }]
change = [{ do = "replug", at_s = 20, target = "eth0", once = "plan" }]
"""


def test_a_scenario_is_read_with_all_its_parts() -> None:
    (row,) = parse_rows(WHOLE, "file")
    assert (row.name, row.group, row.expect, row.limit_s) == ("slow", "file", Expect.REFUSES, 30)
    assert (row.server.bytes_per_s, row.server.far, row.server.pinned) == (1000, True, False)
    assert row.adapters == (Adapter("eth0", "other", "52:54:00:12:34:05", cable=False),)
    assert row.lans[0].wear.delay_ms == 10
    assert row.dhcp[0].options == ((26, "0044"),)
    assert row.faults[0].headers == (("Retry-After", "3"),)
    assert (row.changes[0].do, row.changes[0].once) == (Do.REPLUG, Part.PLAN)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a", "file: expected TOML"),
        ("a = 1", "file: a: expected a table"),
        ("[a]", "file: a.what: expected a value"),
        ("[a]\nwhat = 1", "file: a.what: expected text, got 1"),
        ('[a]\nwhat = "x"\nfaultx = []', "file: a.faultx: expected one of"),
        ('[a]\nwhat = "x"\nlimit_s = true', "file: a.limit_s: expected a whole number, got True"),
        ('[a]\nwhat = "x"\nquick = 1', "file: a.quick: expected true or false, got 1"),
        ('[a]\nwhat = "x"\nexpect = "wins"', "file: a.expect: expected one of boots, refuses, got 'wins'"),
        ('[a]\nwhat = "x"\nserver = 3', "file: a.server: expected a table, got 3"),
        ('[a]\nwhat = "x"\nfault = [{ status = 500 }]', r"file: a.fault\[0\].part: expected a value"),
        ('[a]\nwhat = "x"\nfault = [{ part = "soup" }]', r"file: a.fault\[0\].part: expected one of hello"),
        ('[a]\nwhat = "x"\nfault = [{ part = "plan", headers = [["a"]] }]', r"headers\[0\]: expected 2 values"),
        ('[a]\nwhat = "x"\nfault = 7', "file: a.fault: expected"),
        ('[a]\nwhat = "x"\nadapter = [{ lan = "none" }]', "file: a.adapter.lan: expected one of site, got 'none'"),
        (
            '[a]\nwhat = "x"\nchange = [{ do = "plug", at_s = 1, target = "eth9" }]',
            "file: a.change.target: expected an adapter",
        ),
    ],
)
def test_what_is_wrong_with_a_scenario_is_named(text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        parse_rows(text, "file")


def test_the_rows_of_the_matrix_can_all_be_read() -> None:
    rows = read_rows()
    assert len(rows) > 50
    for row in rows.values():
        assert row.what[0].upper() == row.what[0], row.name
        assert not row.what.endswith("."), row.name
        assert bool(row.test) == (row.runner is Runner.QEMU), row.name


def test_the_published_table_has_every_row_and_no_unverified_boot() -> None:
    text = TABLE.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| ([a-z0-9-]+) \|", text, re.MULTILINE)) - {"row"} == set(read_rows())
    assert text.endswith("Unverified boots: 0.\n")
