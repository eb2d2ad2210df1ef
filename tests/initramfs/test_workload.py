"""The RAM workload's own texts: what it makes of boot.json and of its board, in its own busybox."""

import html
import json
import shutil
from pathlib import Path

import pytest

from initramfs.architectures import ARCHITECTURES
from initramfs.build import RamSystem
from initramfs.chroot import run_in_root
from initramfs.image_layout import LAST_ENTRY
from initramfs.workload import APPLETS
from tests.initramfs.newc import read_newc, unpack

AMD64 = ARCHITECTURES["amd64"]
NOTE = {
    "version": 1,
    "node_id": "node-7",
    "boot_id": "5f0c6f5e-7f0d-4a5c-9a43-5f9a3a4a3b1c",
    "server": "http://192.0.2.1:8080",
    "ca": None,
    "token": "secret-token",
    "loader_builds": ["0123456789abcdef"],
    "simulated": False,
    "client_id": "0068656c6c6f",
    "interface": "eth0",
    "mac": "02:00:00:00:00:07",
    "address": "192.0.2.7/24",
    "profile": "ram-page",
}


@pytest.fixture
def tree(workload_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(workload_tree, tmp_path / "tree", symlinks=True, ignore=shutil.ignore_patterns("modules")))


def shell(tree: Path, script: str, note: dict[str, object] | None = None) -> str:
    if note is not None:
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in note.items())
        (tree / "bootpilot").mkdir()
        (tree / "bootpilot" / "boot.json").write_text("{\n" + lines + "\n}\n")
    words = ["/bin/sh", "-c", f". /usr/lib/workload/facts; read_boot_note; {script}"]
    return run_in_root(AMD64, tree, words, timeout_s=60)


def test_the_initrd_is_a_few_megabytes(workload: RamSystem) -> None:
    assert workload.initrd.stat().st_size <= 5_000_000
    assert workload.initrd_unpacked_bytes == len(unpack(workload.initrd))
    assert read_newc(unpack(workload.initrd))[-1].name == LAST_ENTRY


def test_busybox_has_every_applet_that_is_linked(workload_tree: Path) -> None:
    applets = run_in_root(AMD64, workload_tree, ["/bin/busybox", "--list"], timeout_s=60).split()
    assert set(APPLETS.split()) <= set(applets)


def test_the_status_is_one_line_of_json_about_board_and_boot(tree: Path) -> None:
    text = shell(tree, "status_json lo", NOTE)
    assert text.count("\n") == 1
    status = json.loads(text)
    assert {name: status[name] for name in ("node_id", "boot_id", "profile")} == {
        name: NOTE[name] for name in ("node_id", "boot_id", "profile")
    }
    assert status["cpus"] >= 1
    assert status["memory_kib"] > 100_000
    assert status["kernel"]


def test_the_token_is_nowhere_on_the_page_or_in_the_status(tree: Path) -> None:
    assert "secret-token" not in shell(tree, "status_json lo; page_html lo", NOTE)


def test_hostile_texts_are_shown_harmlessly(tree: Path) -> None:
    hostile = '<script>alert("1")</script>&\'\\'
    page = shell(tree, "page_html lo; status_json lo", NOTE | {"node_id": hostile, "profile": hostile})
    assert "<script>" not in page.split("</html>")[0]
    assert f"<h1>{html.escape(hostile).replace('&#x27;', '&#39;')}</h1>" in page
    assert json.loads(page.splitlines()[-1])["profile"] == hostile


def test_without_a_boot_note_there_is_a_page_all_the_same(tree: Path) -> None:
    page = shell(tree, "page_html lo")
    assert "<h1>A board</h1>" in page
    assert "CPUs online" in page


def test_null_in_the_note_is_nothing(tree: Path) -> None:
    assert shell(tree, 'echo "[$(note ca)] [$(note server)] [$(note simulated)]"', NOTE) == "[] [http://192.0.2.1:8080] []\n"


def test_an_ipv6_address_stands_in_brackets_in_a_url(tree: Path) -> None:
    assert shell(tree, "url_host 2001:db8::7; url_host 192.0.2.7") == "[2001:db8::7]\n192.0.2.7\n"
