"""Secrets: named by templates, read by the server, seen by one board and by nobody else."""

import io
import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from bootpilot_agent.plan import Action, Plan
from bootpilot_server.asking.secret_file_keeping import UNRECORDED_S, drop_over
from bootpilot_server.asking.secret_reading import MAX_BYTES, read_secret
from bootpilot_server.asking.secret_references import SecretReference, read_references
from bootpilot_server.asking.secret_source import SecretSource
from bootpilot_server.cli import main
from bootpilot_server.errors import OperatorError, ProblemError
from tests.fakes.bench import Bench, bearer
from tests.fakes.reports import SERIAL, again, make_report
from tests.fakes.site import digest, profile, write_site

# Two of them, in a text that no other file holds by chance.
CANARY, OTHER_CANARY = "c4n4ry-Tr0ub4dor-7731", "other-c4n4ry-5150"
FILE = '\n[[file]]\npath = "/preseed.cfg"\ntemplate = "preseed"\nmode = "0600"\n'
TEMPLATE = 'host {{ node.serial }}\npassword {{ secret("root") }}\n'
Output = pytest.CaptureFixture[str]


def declare(bench: Bench, text: str) -> None:
    bench.server.config.home.mkdir(exist_ok=True)
    (bench.server.config.home / "secrets.toml").write_text(text)


def give(bench: Bench, value: str, template: str = TEMPLATE) -> None:
    """The profile's file has a secret, which lies in a file."""
    (bench.folder / "root.secret").write_text(value + "\n")
    declare(bench, f'[root]\nfile = "{bench.folder / "root.secret"}"\n')
    assert bench.apply(profiles__ram_page=profile(FILE), templates__preseed=template).is_usable


def fetch(bench: Bench, plan: Plan) -> bytes:
    assert plan.boot is not None
    answer = bench.client.get(plan.boot.files[0].artifact.urls[0], headers=bearer(plan.token), buffered=True)
    assert answer.status_code == 200, answer.text
    return bytes(answer.data)


def refused(bench: Bench, plan: Plan) -> str:
    assert plan.wait is not None
    assert plan.wait.reason == "render-error"
    return plan.wait.text


def test_a_board_gets_what_the_secret_is_and_checks_it_by_the_plan(bench: Bench) -> None:
    give(bench, CANARY)
    plan = bench.plan()
    content = f"host {SERIAL}\npassword {CANARY}\n".encode()
    assert plan.boot is not None
    file = plan.boot.files[0]
    assert (file.artifact.sha256, file.artifact.size_bytes, file.mode) == (digest(content), len(content), 0o600)
    assert fetch(bench, plan) == content


def test_the_file_of_a_secret_is_served_with_the_boots_token_and_never_as_an_artifact(bench: Bench) -> None:
    give(bench, CANARY)
    plan, another = bench.plan(), bench.plan(make_report(evidence=()))
    assert plan.boot is not None
    url, sha256 = plan.boot.files[0].artifact.urls[0], plan.boot.files[0].artifact.sha256
    assert url.startswith(f"/v1/boots/{plan.boot_id}/")
    assert sha256 not in url
    assert bench.client.get(f"/artifacts/sha256/{sha256}").status_code == 404
    for token in ("", "x", another.token):
        assert bench.client.get(url, headers=bearer(token)).status_code == 401
    answer = bench.client.get(url, headers={**bearer(plan.token), "Range": "bytes=0-3"}, buffered=True)
    assert (answer.status_code, answer.data, answer.headers["Cache-Control"]) == (206, b"host", "no-store")
    assert sha256 not in str(answer.headers)
    for wrong in ("../../secret.key", "0" * 32, "%2e%2e%2fsecret.key"):
        assert bench.client.get(f"/v1/boots/{plan.boot_id}/files/{wrong}", headers=bearer(plan.token)).status_code == 404


def test_nobody_else_on_the_machine_can_read_the_file(bench: Bench) -> None:
    give(bench, CANARY)
    bench.plan()
    folder = bench.server.config.secret_files
    paths = [folder, *folder.rglob("*")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o700, 0o600]


def test_the_plan_of_a_lost_answer_is_the_same_to_the_byte(bench: Bench) -> None:
    give(bench, CANARY)
    report = make_report()
    first = bench.ask(report).data
    assert bench.ask(report).data == first
    assert fetch(bench, Plan.from_json(first, "arm64")).endswith(f"{CANARY}\n".encode())


def test_a_further_question_makes_the_files_anew_and_the_former_go(bench: Bench) -> None:
    give(bench, CANARY)
    report = make_report()
    first = bench.plan(report)
    second = bench.plan(again(report), first.token)
    assert fetch(bench, second).endswith(f"{CANARY}\n".encode())
    answer = bench.ask(report)
    assert (answer.status_code, "new nonce" in answer.text) == (409, True)


def test_the_next_boot_of_a_node_takes_away_what_the_one_before_could_fetch(bench: Bench) -> None:
    give(bench, CANARY)
    bench.plan()
    last = bench.plan()
    assert bench.server.secret_files.boots() == [last.boot_id]


@pytest.mark.parametrize("ends", ["handover", "failed", "payload-up"])
def test_files_go_soon_after_a_boot_has_no_more_use_for_them(bench: Bench, ends: str) -> None:
    give(bench, CANARY)
    plan = bench.plan()
    bench.send_event(plan, "fetched")
    assert drop_over(bench.server, time.time()) == []
    bench.send_event(plan, ends, 1, "payload" if ends == "payload-up" else "agent", stage="fetch", message="x")
    assert drop_over(bench.server, time.time()) == [plan.boot_id]
    assert bench.server.secret_files.boots() == []


def test_files_go_when_the_plan_is_over_or_the_boot_is_not_on_record(bench: Bench) -> None:
    give(bench, CANARY)
    plan = bench.plan()
    stray = make_report().boot_id
    bench.server.secret_files.store(stray, {"0" * 32: b"of a transaction that was undone"})
    now = time.time()
    assert drop_over(bench.server, now + plan.fetch_deadline_s) == [stray]
    assert drop_over(bench.server, now + UNRECORDED_S / 2) == []
    assert drop_over(bench.server, now + plan.fetch_deadline_s + plan.valid_s + 60) == [plan.boot_id]


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ('file = "/nowhere/at/all"', "its file cannot be read: No such file"),
        ('environment = "BOOTPILOT_TEST_UNSET"', "the server's environment has no BOOTPILOT_TEST_UNSET"),
        (f'command = ["sh", "-c", "echo {CANARY}; echo {CANARY} >&2; exit 3"]', "its command ended with status 3"),
        ('command = ["/nowhere/at/all"]', "its command cannot be started"),
        ('command = ["true"]', "it is empty"),
        (r'command = ["printf", "\\377"]', "it is not UTF-8"),
    ],
)
def test_a_secret_that_cannot_be_had_is_a_wait_and_an_entry_in_the_history_and_never_an_empty_file(
    bench: Bench, reference: str, why: str
) -> None:
    declare(bench, f"[root]\n{reference}\n")
    bench.apply(profiles__ram_page=profile(FILE), templates__preseed=TEMPLATE)
    plan = bench.plan()
    assert (plan.action, why in refused(bench, plan), CANARY in refused(bench, plan)) == (Action.WAIT, True, False)
    assert why in bench.client.get(f"/nodes/{plan.node_id}").text.replace("&#39;", "'")
    assert bench.server.secret_files.boots() == []


def test_a_secret_that_is_not_declared_any_more_is_a_wait(bench: Bench) -> None:
    give(bench, CANARY)
    declare(bench, "")
    assert "root is not declared" in refused(bench, bench.plan())


def test_a_broken_list_of_secrets_stops_only_what_needs_one(bench: Bench) -> None:
    give(bench, CANARY)
    declare(bench, "[root\n")
    assert "secrets.toml" in refused(bench, bench.plan())
    declare(bench, '[root]\nfile = "x"\n')
    (bench.server.config.home / "secrets.toml").chmod(0o666)
    assert "lets others write it" in refused(bench, bench.plan())
    with pytest.raises(OperatorError, match="lets others write it"):
        bench.apply()
    declare(bench, "")
    (bench.server.config.home / "secrets.toml").chmod(0o644)
    assert bench.apply(templates__preseed="nothing").is_usable
    declare(bench, "[root\n")
    assert bench.plan().action is Action.BOOT


@pytest.mark.parametrize(
    "template",
    [
        '{{ {}[secret("root")] }}',
        '{{ {}[secret("root")|upper] }}',
        '{{ secret("root") / 2 }}',
        '{% include secret("root") %}',
        '{{ node[secret("root")|reverse] }}',
    ],
)
def test_what_goes_wrong_with_a_secret_in_hand_tells_nothing_of_it(bench: Bench, template: str) -> None:
    give(bench, CANARY, template)
    told = refused(bench, bench.plan())
    assert "templates/preseed:1" in told
    assert not any(form in told for form in (CANARY, CANARY.upper(), CANARY[::-1]))


def test_a_secret_is_had_in_what_a_template_includes_and_imports(bench: Bench) -> None:
    (bench.folder / "root.secret").write_text(CANARY)
    declare(bench, f'[root]\nfile = "{bench.folder / "root.secret"}"\n[other]\ncommand = ["echo", "{OTHER_CANARY}"]\n')
    bench.apply(
        profiles__ram_page=profile(FILE),
        templates__preseed='{% include "part" %} {% import "macros" as m %}{{ m.other() }}',
        templates__part='{{ secret("root") }}',
        templates__macros='{% macro other() %}{{ secret("other") }}{% endmacro %}',
    )
    assert fetch(bench, bench.plan()) == f"{CANARY} {OTHER_CANARY}".encode()


def test_a_changed_secret_is_used_once_the_kept_one_is_over(bench: Bench) -> None:
    declare(bench, f'[root]\nfile = "{bench.folder / "root.secret"}"\nkeep_s = 1\n')
    (bench.folder / "root.secret").write_text("first")
    bench.apply(profiles__ram_page=profile(FILE), templates__preseed=TEMPLATE)
    assert fetch(bench, bench.plan()).endswith(b"first\n")
    (bench.folder / "root.secret").write_text("second")
    deadline = time.monotonic() + 60
    while not fetch(bench, bench.plan()).endswith(b"second\n"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_slow_command_is_run_once_and_keeps_no_board_waiting_that_needs_it_not(tmp_path: Path) -> None:
    """A thousand boards would otherwise hold every thread of the server until it answers."""
    command = f'["sh", "-c", "echo x >> {tmp_path}/runs; cat {tmp_path}/go"]'
    (tmp_path / "secrets.toml").write_text(f"[slow]\ncommand = {command}\ntimeout_s = 120\n")
    os.mkfifo(tmp_path / "go")
    source = SecretSource(tmp_path)
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.append(source.fetch(["slow"])["slow"].text))
    waiting.start()
    while not (tmp_path / "runs").exists():
        assert waiting.is_alive()
        time.sleep(0.01)
    with pytest.raises(ProblemError) as caught:
        source.fetch(["slow"])
    (tmp_path / "go").write_text(CANARY)
    waiting.join(60)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 5)
    assert (got, source.fetch(["slow"])["slow"].text, (tmp_path / "runs").read_text()) == ([CANARY], CANARY, "x\n")


def test_a_command_that_hangs_ends_with_all_that_it_started(tmp_path: Path) -> None:
    command = ("sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/pid; wait")
    value = read_secret(SecretReference("slow", command=command, timeout_s=1))
    assert value.failure == "secret slow: its command did not end within 1 s"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_endless_output_is_cut_off_and_refused() -> None:
    value = read_secret(SecretReference("big", command=("yes",), timeout_s=60))
    assert value.failure == f"secret big: it is larger than {MAX_BYTES} bytes"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('root = "hunter2"', "root"),
        ("[root]\n", "root"),
        ('[root]\nfile = "x"\ncommand = ["y"]', "root"),
        ("[root]\nfile = 3\n", "root.file"),
        ('[root]\ncommand = "vault read"\n', "root.command"),
        ("[root]\ncommand = []\n", "root.command"),
        ('[root]\nfile = "x"\ntimeout_s = 0\n', "root.timeout_s"),
        ('[root]\nvalue = "hunter2"\n', "root"),
        ('["a b"]\nfile = "x"\n', "a b"),
        ("[root", "secrets.toml"),
    ],
)
def test_a_wrong_reference_is_named_and_its_value_is_not_shown(text: str, key: str) -> None:
    with pytest.raises(OperatorError) as caught:
        read_references(text, Path("/home"))
    assert key in caught.value.message
    assert "hunter2" not in str(caught.value)


def test_check_knows_undeclared_misplaced_computed_and_readable_secrets(bench: Bench) -> None:
    declare(bench, '[root]\nfile = "x"\n')
    files = FILE.replace("0600", "0644") + '\n[[file]]\npath = "/etc/key"\ncontent = "secret:root"\n'
    text = profile(files).replace("panic=10", "panic=10 password=secret:root")
    template = '{{ secret("root") }}\n{{ secret("toor") }}\n{{ secret(node.name) }}\n{% set s = secret %}\n'
    applied = bench.apply(profiles__ram_page=text, templates__preseed=template)
    assert not applied.is_usable
    told = [str(finding) for finding in applied.findings]
    for expected in (
        "templates/preseed:2: secret toor is not declared in secrets.toml; declared are root",
        "templates/preseed:3: a secret is named by its name in quotes",
        "templates/preseed:4: a secret is named by its name in quotes",
        "profiles/ram-page.toml:2: command_line: a secret never stands here",
        "warning: file[0].mode: 0644 lets all of the payload read a secret",
        "file[1].content: a template names secrets",
    ):
        assert any(expected in line for line in told), (expected, told)


def test_render_shows_a_boards_files_with_secrets_redacted(bench: Bench, capsys: Output) -> None:
    give(bench, CANARY, 'password {{ secret("root") }} on {{ node.serial }}\n')
    bench.plan()
    home = str(bench.server.config.home)
    assert main(["--home", home, "render", SERIAL]) == 0
    assert (
        f"== /preseed.cfg (mode 0600, holds a secret: redacted here)\npassword ***root*** on {SERIAL}"
        in capsys.readouterr().out
    )
    assert main(["--home", home, "render", SERIAL, "--path", "/preseed.cfg", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["files"][0]["content"] == f"password ***root*** on {SERIAL}\n"


def test_render_takes_a_profile_by_name_and_a_folder_that_is_not_in_force(bench: Bench, capsys: Output) -> None:
    give(bench, CANARY)
    bench.plan()
    site = write_site(bench.folder / "next", profiles__other=profile(FILE), templates__preseed="next {{ node.arch }}")
    home = str(bench.server.config.home)
    assert main(["--home", home, "render", SERIAL, "--profile", "other"]) == 1
    assert "there is no profile other" in capsys.readouterr().err
    assert main(["--home", home, "render", SERIAL, "--profile", "other", "--site", str(site), "--path", "/preseed.cfg"]) == 0
    assert capsys.readouterr().out == "next arm64\n"


def test_secret_list_tells_where_from_for_whom_and_whether_it_can_be_had(bench: Bench, capsys: Output) -> None:
    give(bench, CANARY)
    path = bench.server.config.home / "secrets.toml"
    path.write_text(path.read_text() + f'[gone]\ncommand = ["false", "{OTHER_CANARY}"]\n')
    home = str(bench.server.config.home)
    assert main(["--home", home, "secret", "list"]) == 0
    assert main(["--home", home, "secret", "list", "--try"]) == 1
    told = capsys.readouterr().out
    assert "ram-page  can be had" in told
    assert "its command ended with status 1" in told
    assert CANARY not in told
    assert OTHER_CANARY not in told


def test_what_nobody_gave_a_node_is_an_error_where_a_template_names_it(bench: Bench) -> None:
    bench.apply(profiles__ram_page=profile(FILE), templates__preseed="{{ node.rack }}")
    assert "has no attribute 'rack'" in refused(bench, bench.plan())
    bench.apply(profiles__ram_page=profile(FILE), templates__preseed="{{ node.labels.role | default('none') }}")
    plan = bench.plan()
    assert plan.boot is not None
    assert bench.client.get(plan.boot.files[0].artifact.urls[0]).data == b"none"


def test_artifacts_are_still_for_everybody(bench: Bench) -> None:
    bench.apply(profiles__ram_page=profile(FILE), templates__preseed="{{ node.serial }}")
    plan = bench.plan()
    assert plan.boot is not None
    assert plan.boot.files[0].artifact.urls[0].startswith("/artifacts/")
    assert bench.server.secret_files.boots() == []
    assert bench.server.artifacts.add(io.BytesIO(SERIAL.encode()))[0] == plan.boot.files[0].artifact.sha256
