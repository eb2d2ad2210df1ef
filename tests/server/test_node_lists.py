"""A list of boards announces and approves them before they ask: whole, or refused by line."""

from pathlib import Path

import pytest

from bootpilot_agent.evidence import EvidenceKind
from bootpilot_server import cli
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.store import node_records, schema
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report, piece, serial

Output = pytest.CaptureFixture[str]
KIND = EvidenceKind
WAITS = 'priority = 1\nprofile = "ram-page"\n'


def run(bench: Bench, *words: str) -> int:
    return cli.main(["--home", str(bench.server.config.home), *words])


def nodes(bench: Bench) -> list[NodeRecord]:
    with bench.server.database.reading() as connection:
        return node_records.list_nodes(connection, limit=1000)


def write(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "nodes.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


LIST = """\
serial;mac;card;name;rack;slot;labels;static_address;profile
10000000ABCD0001;;;rack7-03;r7;3;site=north kind=compute;10.7.0.3/24;ram-page
;00-48-54-20-33-02;;rack7-04;r7;4;;;
;;03534453443332478012345678015a00;rack7-05;r7;5;;;
"""


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(),
        b"\xef\xbb\xbf" + LIST.replace("\n", "\r\n").encode(),
        LIST.replace(";", ",").encode(),
        LIST.replace(";", "\t").encode("utf-16"),
    ],
)
def test_a_list_announces_boards_that_are_served_as_they_come(
    bench: Bench, tmp_path: Path, content: bytes, capsys: Output
) -> None:
    bench.apply(rules__lab=WAITS)
    path = write(tmp_path, content)
    assert run(bench, "node", "import", path, "--dry-run") == 0
    assert "3 boards announced" in capsys.readouterr().out
    assert nodes(bench) == []
    assert run(bench, "node", "import", path) == 0
    ids = {node.name: node.id for node in nodes(bench)}
    shown = {
        "rack7-03": (*serial("10000000abcd0001"), piece(KIND.MAC, "00:48:54:20:33:77")),
        "rack7-04": (*serial("10000000abcd0002"), piece(KIND.MAC, "00:48:54:20:33:02")),
        "rack7-05": (piece(KIND.CARD_CID, "03534453443332478012345678015a00"),),
    }
    for path_ in ("/", *(f"/nodes/{node_id}" for node_id in ids.values())):
        assert "announced" in bench.client.get(path_).text
    assert run(bench, "node", "show", "rack7-03") == 0
    assert run(bench, "node", "list") == 0
    for name, evidence in shown.items():
        plan = bench.plan(make_report(evidence=evidence))
        assert (plan.node_id, plan.boot is not None) == (ids[name], True)
    assert len(nodes(bench)) == 3
    record = next(node for node in nodes(bench) if node.name == "rack7-03")
    assert record.read_labels() == {"site": "north", "kind": "compute", "rack": "r7", "slot": "3"}
    assert (record.static_address, record.profile_override) == ("10.7.0.3/24", "ram-page")
    capsys.readouterr()
    assert run(bench, "node", "import", write(tmp_path, content)) == 0
    assert "0 boards announced, 0 known ones changed, 3 as the list says" in capsys.readouterr().out


def test_an_announced_serial_number_denies_a_board_with_another_one(bench: Bench, tmp_path: Path) -> None:
    bench.apply(rules__lab=WAITS)
    assert run(bench, "node", "import", write(tmp_path, "serial,mac\n10000000abcd0001,00:48:54:20:33:02\n")) == 0
    announced = nodes(bench)[0].id
    other = bench.plan(make_report(evidence=(*serial("10000000abcd0009"), piece(KIND.MAC, "00:48:54:20:33:02"))))
    assert other.node_id != announced
    assert bench.plan(make_report(evidence=(piece(KIND.DMI_PRODUCT_SERIAL, "10000000ABCD0001"),))).node_id == announced


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("serial,mac\ns1aa,\ns2bb,\ns1aa,\n", ["4: serial s1aa stands on line 2 too"]),
        ("mac\n00:48:54:20:33:01\n00-48-54-20-33-01\n", ["3: mac 00:48:54:20:33:01 stands on line 2 too"]),
        ("serial,name\ns1aa,n1x\ns2bb,N1X\n", ["3: name n1x stands on line 2 too"]),
        ("serial,static_address\ns1aa,10.0.0.5/24\ns2bb,10.0.0.5/16\n", ["3: static_address 10.0.0.5 stands on line 2 too"]),
        ("serial,rack,slot\ns1aa,r7,1\ns2bb,r7,1\n", ["3: place rack r7, slot 1 stands on line 2 too"]),
        ("serial,static_address\ns1aa,10.0.0.999/24\ns2bb,10.0.0.5\n", ["2: static_address '10.0.0.999", "3: static_address"]),
        ("serial,static_address\ns1aa,10.0.0.0/24\n", ["own or its broadcast address"]),
        ("serial,colour\ns1aa,red\n", ["1: unknown column 'colour'"]),
        ("name\nn1x\n", ["1: the first line names no column serial, mac or card"]),
        ("serial,name\n,n1x\n", ["2: neither serial, mac nor card"]),
        (
            "serial,mac\nTo be filled by O.E.M.,\n,00:00:00:00:00:00\n,01:00:5e:00:00:01\n,x\n",
            ["2: serial", "3: mac", "4: mac", "5: mac"],
        ),
        ("card\n1234\n", ["2: card '1234': a card's CID has 32 hex digits"]),
        ("serial,name\ns1aa,<script>\n", ["2: name '<script>'"]),
        ("serial,labels\ns1aa,Rack=7\n", ["2: labels:"]),
        ("serial,profile\ns1aa,nothing\n", ["2: there is no profile 'nothing'"]),
        ("serial,name\ns1aa,n1x,extra\n", ["2: 3 cells, and 2 columns are named"]),
        (b"serial\ns1\xff\n", ["2: this is not UTF-8"]),
        ('serial\n"s1aa\n', ["this is no CSV"]),
        ("", ["1: no board stands here"]),
    ],
)  # fmt: skip
def test_a_list_with_anything_wrong_is_refused_by_line_and_whole(
    bench: Bench, tmp_path: Path, content: str | bytes, words: list[str], capsys: Output
) -> None:
    bench.apply()
    assert run(bench, "node", "import", write(tmp_path, content)) == 1
    told = capsys.readouterr().out
    assert [word for word in words if word not in told] == []
    assert "nothing was imported" in told
    assert nodes(bench) == []


def test_a_list_does_not_take_names_or_addresses_of_others_and_completes_known_boards(
    bench: Bench, tmp_path: Path, capsys: Output
) -> None:
    bench.apply(rules__lab=WAITS)
    known = bench.plan(make_report(evidence=serial("10000000abcd0001"))).node_id
    assert run(bench, "node", "rename", known, "rack7-03") == 0
    assert run(bench, "node", "import", write(tmp_path, "serial,name\n10000000abcd0002,rack7-03\n")) == 1
    assert f"line 2: node {known} is named rack7-03 already".partition(": ")[2] in capsys.readouterr().out
    both = "serial,name\n10000000abcd0001,rack7-04\n10000000abcd0002,rack7-03\n"
    assert run(bench, "node", "import", write(tmp_path, both)) == 0
    assert {node.name for node in nodes(bench)} == {"rack7-03", "rack7-04"}
    assert bench.plan(make_report(evidence=serial("10000000abcd0001"))).boot is not None


def test_looking_at_a_list_waits_for_no_writer_and_holds_up_none(bench: Bench, tmp_path: Path, capsys: Output) -> None:
    bench.apply(rules__lab=WAITS)
    path = write(tmp_path, "serial,name\n10000000abcd0002,rack7-03\n")
    with bench.server.database.writing() as connection:
        connection.execute(schema.about.insert().values(key="busy", value="yes"))
        assert run(bench, "node", "import", path, "--dry-run") == 0
    assert "1 boards announced" in capsys.readouterr().out
    assert nodes(bench) == []
