"""A real agent boots from a real server with secrets in its files; then everything that anybody can see of it is searched."""

import gzip
from pathlib import Path

import pytest
import requests

from bootpilot_agent.plan import Plan
from tests.fakes.kernels import arm64_image
from tests.fakes.recorded_board import RecordedBoard
from tests.fakes.reports import SERIAL, body_of, make_report
from tests.fakes.server_process import RunningServer, bootpilot, running_server
from tests.fakes.site import INITRD, KERNEL, digest, profile, write_site

CANARY, OTHER_CANARY = "c4n4ry-Tr0ub4dor-7731", "other-c4n4ry-5150"
CONTENT = f"password {CANARY}\n{OTHER_CANARY}\n".encode()
FILE = '\n[[file]]\npath = "/preseed.cfg"\ntemplate = "preseed"\nmode = "0600"\n'
FAILING = '{{ {}[secret("root")] }}'
TIMEOUT_S = 60
COMMANDS = (
    ("node", "list"),
    ("node", "show", SERIAL),
    ("explain", SERIAL),
    ("render", SERIAL),
    ("secret", "list", "--try"),
    ("artifact", "list"),
    ("artifact", "prune"),
    ("revisions",),
    ("diff", "1", "2"),
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A server's folder with the site in force whose template uses both secrets."""
    home = tmp_path / "home"
    for name, content in (("vmlinuz", arm64_image()), ("initrd", INITRD)):
        (tmp_path / name).write_bytes(content)
        assert bootpilot(home, "artifact", "add", str(tmp_path / name)).returncode == 0
    (tmp_path / "other").write_text(OTHER_CANARY)
    command = f'["sh", "-c", "cat {tmp_path}/other; cat {tmp_path}/other >&2"]'
    (home / "secrets.toml").write_text(f'[root]\nenvironment = "CANARY"\n[other]\ncommand = {command}\n')
    apply(home, 'password {{ secret("root") }}\n{% include "part" %}')
    return home


def apply(home: Path, template: str) -> bytes:
    text = "record = true\n" + profile(FILE).replace(digest(KERNEL), digest(arm64_image()))
    part = '{{ secret("other") }}\n'
    site = write_site(home.parent / "site", profiles__ram_page=text, templates__preseed=template, templates__part=part)
    said = [bootpilot(home, "check", str(site)), bootpilot(home, "apply", str(site), "--yes")]
    assert said[1].returncode == 0, said[1].stdout
    return "".join(done.stdout + done.stderr for done in said).encode()


def ask(server: RunningServer) -> bytes:
    return requests.post(f"{server.url}/v1/boot", data=body_of(make_report(simulated=True)), timeout=TIMEOUT_S).content


def test_the_secret_of_a_boot_is_nowhere_but_in_the_board(home: Path, tmp_path: Path) -> None:
    (tmp_path / "board").mkdir()
    seen: dict[str, bytes] = {}
    with running_server(home, "--allow-simulated", environment={"CANARY": CANARY}) as server:
        board = RecordedBoard(tmp_path / "board", arch="arm64", servers=(server.url,), serial=SERIAL)
        assert board.boot().how == "kexec -e", board.console
        assert board.run.loaded is not None
        assert CONTENT in board.run.loaded.initrd
        boots = [board.run.loaded.note]
        seen["failing"] = apply(home, FAILING)
        seen["wait"] = ask(server)
        assert b"render-error" in seen["wait"]
        seen["applied"] = apply(home, 'password {{ secret("root") }}\n{% include "part" %}')
        boots.append(Plan.from_json(ask(server), "arm64").to_json())
        for boot in boots:
            of_boot = f"/boots/{boot['boot_id']}"
            for path in ("/", f"/nodes/{boot['node_id']}", of_boot, f"{of_boot}/log/agent", f"{of_boot}/recording"):
                seen[path] = requests.get(server.url + path, timeout=TIMEOUT_S).content
        taken = seen[f"/boots/{boots[0]['boot_id']}/recording"]
        seen["recording"] = gzip.decompress(taken)
        assert b"/preseed.cfg" in seen["recording"]
        assert str(boots[0]["token"]).encode() not in seen["recording"]
        for words in COMMANDS:
            for form in ((), ("--json",)):
                done = bootpilot(home, *words, *form)
                seen[" ".join((*words, *form))] = (done.stdout + done.stderr).encode()
        assert bootpilot(home, "backup", str(tmp_path / "backup.tar")).returncode == 0
        kept = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    seen |= {"board": board.console.encode(), "server": server.output.read_bytes()}
    seen["backup"] = (tmp_path / "backup.tar").read_bytes()
    seen |= {str(path): data for path, data in kept.items() if "secret-files" not in path.parts}
    assert CANARY.encode() in b"".join(data for path, data in kept.items() if "secret-files" in path.parts)
    assert {"state.sqlite", "secrets.toml"} <= {path.name for path in kept}
    forms = [CANARY, OTHER_CANARY, digest(CONTENT), CANARY.encode().hex(), CANARY[::-1]]
    assert [(where, form) for where, data in seen.items() for form in forms if form.encode() in data] == []
