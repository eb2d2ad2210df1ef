"""The pages for people, shown what the worst board could say."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootpilot_agent.evidence import EvidenceKind
from bootpilot_agent.settings import SETTINGS
from bootpilot_server import cli
from bootpilot_server.store import node_records, node_search
from bootpilot_server.web.page_filters import ago, shown, size
from tests.fakes.bench import Bench
from tests.fakes.installs import Site, installer
from tests.fakes.reports import make_report, piece
from tests.fakes.site import profile

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "{{71234567*7}}{% raw %}",
    "../../etc/passwd",
    "$(reboot)`reboot`",
    "nul\0nul",
    "\u202egnp.exe",
    "\u2066\u2067bidi",
    "line\r\nSet-Cookie: a=b",
    "\x1b[2J\x07",
]
ALLOWED_TAGS = (
    r"html|head|meta|title|link|body|header|main|nav|a|p|strong|code|pre|table|thead|tbody|tr|th|td|bdi|span|div|progress|h2"
    r"|ol|li|dl|dt|dd|form|label|input|select|option|button"
)


def pages(bench: Bench, text: str) -> list[str]:
    """Every page, after a board has said `text` wherever a board may say something."""
    bench.apply()
    plain = re.sub(r"[\x00-\x1f\x7f]", "", text)
    report = make_report(model=text, evidence=(piece(EvidenceKind.DT_SERIAL, plain or "x"),), agent_version=text[:64])
    nic, disk = report.inventory.nics[0], report.inventory.disks[0]
    inventory = replace(
        report.inventory,
        nics=(replace(nic, name=text[:64], driver=text[:64], path=text),),
        disks=(replace(disk, model=text[:128], serial=text[:128], path=text),),
    )
    plan = bench.plan(replace(report, inventory=inventory, lease=replace(report.lease, interface=text[:64], method=text[:16])))
    bench.send_event(plan, "failed", message=text, stage=text, extra={"deep": [text]})
    bench.send(plan, "log?offset=0", text.encode("utf-8", "replace") + b"\xff\xfe<script>\x1b[31m")
    bench.send(plan, "failed", {"why": text or "x"})
    return [bench.client.get(path).text for path in ("/", f"/nodes/{plan.node_id}", f"/boots/{plan.boot_id}")]


def check_harmless(page: str) -> None:
    tags = re.findall(r"<\s*/?\s*([a-zA-Z][^\s>/]*)", page)
    assert [tag for tag in tags if not re.fullmatch(ALLOWED_TAGS, tag)] == []
    # What stands in quotes is a value: the page's own quotes are the only ones that are not escaped.
    assert not re.search(r"<[^>]*\son[a-z]+\s*=", re.sub(r'"[^"]*"', '""', page))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page.replace("\r\n", "\n"))
    # No template is made of what a board says. So many digits in this order stand in no id that is made by chance.
    assert str(71234567 * 7) not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_board_says_is_shown_and_does_nothing(bench: Bench, text: str) -> None:
    for page in pages(bench, text):
        check_harmless(page)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_no_text_whatsoever_becomes_markup(bench: Bench, text: str) -> None:
    for page in pages(bench, text):
        check_harmless(page)


def test_pages_load_and_run_nothing_from_elsewhere(bench: Bench) -> None:
    plan = bench.plan()
    for path in ("/", f"/nodes/{plan.node_id}", f"/boots/{plan.boot_id}"):
        response = bench.client.get(path)
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "http://" not in response.text.replace("http-equiv", "")
    with bench.client.get("/static/status.css") as style:
        assert style.mimetype == "text/css"


def test_the_list_tells_model_serial_state_profile_progress_and_why(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    assert plan.boot is not None
    total = plan.boot.kernel.size_bytes + plan.boot.initrds[0].size_bytes
    bench.send_event(plan, "fetching", bytes=total // 2)
    page = bench.client.get("/").text
    for word in ("Radxa ROCK 5B", "10000000abcdef01", "fetching 50%", size(total), "profile ram-page by rule lab", "0 s ago"):
        assert word in page


def test_a_node_page_tells_how_to_approve_a_waiting_board(bench: Bench) -> None:
    plan = bench.plan()
    assert f"bootpilot approve {plan.node_id}" in bench.client.get(f"/nodes/{plan.node_id}").text


def test_no_page_shows_a_token_or_a_nonce(bench: Bench) -> None:
    bench.apply()
    report = make_report()
    plan = bench.plan(report)
    for path in ("/", f"/nodes/{plan.node_id}", f"/boots/{plan.boot_id}"):
        page = bench.client.get(path).text
        assert plan.token not in page
        assert report.nonce not in page


def test_no_page_leads_to_the_content_of_a_plans_files(bench: Bench) -> None:
    bench.apply(profiles__ram_page=profile('\n[[file]]\npath = "/etc/pin"\ncontent = "1234"\nmode = "0600"\n'))
    plan = bench.plan()
    assert plan.boot is not None
    file = plan.boot.files[0].artifact
    assert bench.client.get(file.urls[0]).data == b"1234"
    for path in ("/", f"/nodes/{plan.node_id}", f"/boots/{plan.boot_id}"):
        assert file.sha256 not in bench.client.get(path).text
    page = bench.client.get(f"/boots/{plan.boot_id}").text
    assert "/etc/pin" in page
    assert plan.boot.kernel.sha256 in page


def test_a_log_and_a_recording_come_as_data_that_no_browser_runs(bench: Bench) -> None:
    plan = bench.plan()
    bench.send(plan, "log?offset=0", b"<script>alert(1)</script>")
    response = bench.client.get(f"/boots/{plan.boot_id}/log/agent")
    assert (response.content_type, response.data) == ("text/plain; charset=utf-8", b"<script>alert(1)</script>")
    assert response.headers["Content-Security-Policy"].startswith("sandbox")
    for nothing in (f"/boots/{plan.boot_id}/recording", f"/boots/{plan.boot_id}/log/payload", "/boots/none/log/agent"):
        assert bench.client.get(nothing).status_code == 404


@pytest.mark.parametrize("page", ["0", "-3", "2", "99999999999999999999", "x", "<script>"])
def test_any_page_number_gives_a_page_with_boards(bench: Bench, page: str) -> None:
    bench.plan()
    response = bench.client.get("/", query_string={"page": page})
    assert response.status_code == 200
    assert "Radxa ROCK 5B" in response.text


def test_no_get_changes_anything(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    bench.send_event(plan, "handover")

    def everything() -> list[str]:
        with bench.server.database.reading() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            return list(raw.iterdump())

    before = everything()
    for path in (
        "/",
        f"/nodes/{plan.node_id}",
        f"/boots/{plan.boot_id}",
        "/v1/",
        f"/boots/{plan.boot_id}/log/agent",
        "/nowhere",
    ):
        bench.client.get(path)
    assert everything() == before


def test_spans_and_sizes_are_told_in_a_persons_units() -> None:
    assert [ago(seconds) for seconds in (-5, 42, 300, 10_000, 200_000)] == ["0 s", "42 s", "5 min", "2 h", "2 days"]
    assert [size(count) for count in (7, 2048, 5 << 20, 3 << 40)] == ["7 B", "2.0 KiB", "5.0 MiB", "3.0 TiB"]


def test_long_texts_are_cut() -> None:
    assert len(shown("A" * 1_000_000)) < 1000
    assert shown({"a": 1}) == json.dumps({"a": 1})


def test_a_node_page_tells_its_current_boot_with_events_log_and_plan(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    bench.send_event(plan, "fetching", bytes=7)
    log = b"".join(b"line %d\n" % number for number in range(5000))
    for start in range(0, len(log), 9000):
        bench.send(plan, f"log?offset={start}", log[start : start + 9000])
    page = bench.client.get(f"/nodes/{plan.node_id}").text
    for word in (">fetching</td>", "line 4999", "line 4000", "&#34;ram-page&#34;", f"/boots/{plan.boot_id}"):
        assert word in page
    assert "line 1000\n" not in page


def test_every_cell_carries_the_name_of_its_column_for_narrow_windows(bench: Bench) -> None:
    bench.apply()
    plan = bench.plan()
    bench.send_event(plan, "fetching", bytes=7)
    bench.client.post("/v1/boot", data=b"none")
    tables = []
    for path in ("/", f"/nodes/{plan.node_id}", f"/boots/{plan.boot_id}"):
        tables += re.findall(r"<table.*?</table>", bench.client.get(path).text, re.DOTALL)
    assert len(tables) == 8
    for table in tables:
        names = re.findall(r"<th>(.*?)</th>", table)
        for row in re.findall(r"<tr>(?:(?!<th>).)*?</tr>", table, re.DOTALL):
            assert re.findall(r"<td(?: data-label=\"(.*?)\")?", row) == names


def test_an_empty_list_tells_the_setting_that_cards_really_have(bench: Bench) -> None:
    named = re.findall(r"<code>(\w+)</code> setting", bench.client.get("/").text)
    assert named == ["server"]
    assert set(named) <= {setting.key for setting in SETTINGS}


def test_an_address_with_nothing_behind_it_tells_where_to_begin(bench: Bench) -> None:
    problem = bench.client.get("/nowhere").get_json()
    assert (problem["status"], "people start at /" in problem["detail"]) == (404, True)


def test_contradictions_stand_on_the_first_page_with_the_commands_that_resolve_them(bench: Bench) -> None:
    bench.apply()
    kinds = (EvidenceKind.DT_SERIAL, EvidenceKind.SOC_SERIAL)
    ids = [bench.plan(make_report(evidence=tuple(piece(kind, f"{kind}-{board}") for kind in kinds))).node_id for board in "ab"]
    crossed = bench.plan(make_report(evidence=(piece(kinds[0], f"{kinds[0]}-a"), piece(kinds[1], f"{kinds[1]}-b"))))
    for path in ("/", f"/nodes/{crossed.node_id}", "/find?state=conflict"):
        page = bench.client.get(path).text
        check_harmless(page)
        if path != "/find?state=conflict":
            for node_id in ids:
                assert f"bootpilot node merge {node_id} {crossed.node_id}" in page
                assert f"bootpilot node replace {node_id} --with {crossed.node_id}" in page
    assert "1</strong> contradiction<" in bench.client.get("/").text


def test_nodes_are_found_by_state_and_text(bench: Bench) -> None:
    bench.apply()
    ids = {}
    for name, number in (("rack7-01", 1), ("rack7-02", 2), ("rack8-01", 3)):
        plan = bench.plan(make_report(evidence=(piece(EvidenceKind.DT_SERIAL, f"1000abcd0{number}"),)))
        ids[name] = plan.node_id
        with bench.server.database.writing() as connection:
            node_records.change_node(connection, plan.node_id, name=name, labels=json.dumps({"site": "north_1"}))
    bench.send_event(plan, "failed", message="no link", stage="network")
    waiting = bench.plan(make_report(arch="armhf", evidence=(piece(EvidenceKind.MAC, "00:48:54:20:33:07"),))).node_id

    def found(**asked: str) -> set[str]:
        page = bench.client.get("/find", query_string=asked).text
        check_harmless(page)
        return {node_id for node_id in (*ids.values(), waiting) if f"/nodes/{node_id}" in page}

    assert found(text="RACK7") == {ids["rack7-01"], ids["rack7-02"]}
    assert found(text="north_1") == set(ids.values())
    assert found(text="north%1") == set()
    assert found(text="00:48:54:20:33:07") == {waiting}
    assert found(state="failed") == {ids["rack8-01"]}
    assert found(state="waiting") == {waiting}
    assert found(state="planned", text="rack") == {ids["rack7-01"], ids["rack7-02"]}
    assert found(state="not approved") == {*ids.values(), waiting}
    assert found(state="announced") == found() == set()
    page = bench.client.get("/find?state=waiting").text
    assert f"bootpilot approve {waiting}" in page
    assert "known by medium evidence" in page
    assert "http-equiv" not in page


def test_every_state_can_be_asked_for_and_no_other(bench: Bench) -> None:
    bench.plan()
    for state in node_search.STATES:
        assert bench.client.get("/find", query_string={"state": state, "text": "x", "page": "3"}).status_code == 200
    assert bench.client.get("/find?state=<script>").status_code == 400
    assert bench.client.get("/find?text=a&page=99999999999999999999").status_code == 200


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_sought_and_what_operators_wrote_is_shown_and_does_nothing(bench: Bench, text: str) -> None:
    bench.apply()
    plan = bench.plan(make_report(arch="armhf", evidence=(piece(EvidenceKind.MAC, "00:48:54:20:33:07"),)))
    said = {"name": text, "labels": json.dumps({"k": text, text: "v"}), "hold": text or "x", "static_address": text}
    with bench.server.database.writing() as connection:
        node_records.change_node(connection, plan.node_id, profile_override="", approved_by=text, approval=text, **said)
    for path in ("/", f"/nodes/{plan.node_id}", "/find?state=waiting"):
        check_harmless(bench.client.get(path).text)
    check_harmless(bench.client.get("/find", query_string={"text": text}).text)


def test_evidence_is_told_with_since_when_and_until_when(bench: Bench) -> None:
    bench.apply()
    serial, mac = piece(EvidenceKind.DT_SERIAL, "1000abcd01"), piece(EvidenceKind.MAC, "00:48:54:20:33:07")
    plan = bench.plan(make_report(evidence=(serial, mac)))
    bench.plan(make_report(evidence=(serial,)))
    assert "gone since" in bench.client.get(f"/nodes/{plan.node_id}").text


def test_a_node_tells_its_installs_and_orders_wherever_it_is_shown(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(bench, profiles__lamp=installer("attempts = 1\n"))
    plan = site.plan()
    site.board.begin_install()
    site.board.say_failed()
    held = site.plan()
    assert held.wait is not None
    home = ["--home", str(bench.server.config.home), "node"]
    page = bench.client.get(f"/nodes/{plan.node_id}").text
    for word in (plan.install_id, "failed", "rule:v1", "1 attempts that failed", "the disk is full"):
        assert str(word) in page
    assert "install failed, 1 attempts failed" in bench.client.get("/").text
    assert cli.main([*home, "show", plan.node_id]) == 0
    told = capsys.readouterr().out
    assert f"* {plan.install_id}  failed  lamp  (rule:v1)" in told
    assert "last failure: the disk is full" in told
    assert cli.main([*home, "list"]) == 0
    assert re.search(r" INSTALL .*\n.* failed ", capsys.readouterr().out)
    assert cli.main([*home, "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["install"]["state"], listed["install"]["attempts"], listed["retired"]) == ("failed", 1, False)
    assert cli.main([*home, "local", plan.node_id]) == 0
    for path in ("/", f"/nodes/{plan.node_id}"):
        assert re.search(r"[oO]rdered(: |</dt><dd>)local", bench.client.get(path).text)
    capsys.readouterr()
    assert cli.main([*home, "show", plan.node_id, "--json"]) == 0
    shown_now = json.loads(capsys.readouterr().out)
    assert (shown_now["standing"], [one["install_id"] for one in shown_now["installs"]]) == ("local", [plan.install_id])


@pytest.mark.parametrize("text", HOSTILE)
def test_why_an_install_failed_is_shown_and_does_nothing(bench: Bench, text: str) -> None:
    site = Site(bench)
    plan = site.plan()
    bench.send(plan, "failed", {"why": text})
    site.plan()
    page = bench.client.get(f"/nodes/{plan.node_id}").text
    assert "Installs" in page
    check_harmless(page)
