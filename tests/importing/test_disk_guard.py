"""The disk guard in shell: what it chooses and refuses in every shell that installers have, as bootpilot-install does; and what
unmark leaves of a disk.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bootpilot_agent.install_order import Guard
from bootpilot_agent.inventory import Transport
from bootpilot_agent.mark import MARK_PARTITION_TYPE
from bootpilot_agent.partition_table import Partition, read_partitions
from bootpilot_agent.run import run
from bootpilot_install.disk_choice import Wanted, look_once
from bootpilot_install.disk_reading import DiskReader
from bootpilot_install.errors import GuardError
from bootpilot_install.guard import CardName
from bootpilot_server.deciding.recipes import FileRecipe, Template
from bootpilot_server.deciding.rendering import node_context, render_file
from bootpilot_server.importing.site_texts import TEXTS
from tests.fakes.reports import make_report
from tests.importing.guard_trees import CARD, CASES, LINUX, MIB, NODE, OTHER, Tree, gpt, make_tree, mark_of
from tests.importing.shells import SHELLS, start_argv

SCRIPT = TEXTS / "installers/disk-guard.sh"


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    return start_argv(request.param, tmp_path, "blkid")


@pytest.fixture(params=["busybox", *(pytest.param(name, marks=pytest.mark.long) for name in SHELLS if name != "busybox")])
def table_shell(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The whole table takes a minute in each shell, so only debian-installer's is asked every time."""
    return start_argv(request.param, tmp_path, "blkid")


def write_settings(tree: Tree) -> Path:
    """guard.conf as a board gets it."""
    library = {"guard.conf": (TEXTS / "installers/guard.conf").read_text()}
    recipe = FileRecipe("/guard.conf", 0o600, Template("guard.conf", library))
    settings = {f"disk_{key}": value for key, value in tree.settings.items()}
    path = tree.root / "guard.conf"
    path.write_bytes(render_file(recipe, node_context(NODE, make_report(), "p", settings=settings)).content)
    return path


def guard(shell: list[str], tree: Tree, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "GUARD_ROOT": str(tree.root), "GUARD_CONF": str(write_settings(tree)), "LC_ALL": "C.UTF-8"}
    return subprocess.run([*shell, str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=120)


def partitions_on(image: Path) -> tuple[Partition, ...]:
    """As the agent reads them."""
    raw = image.read_bytes()
    return read_partitions(lambda at, size: raw[at : at + size], len(raw))


def images(tree: Tree) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tree.root / "dev").iterdir()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_guard_chooses_the_one_disk_that_fits_and_writes_nothing(
    case: dict[str, Any], table_shell: list[str], tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "board", case)
    before = images(tree)
    done = guard(table_shell, tree, "choose")
    assert (done.stdout.strip(), done.returncode) == (case["chosen"], 0 if case["chosen"] else 1), done.stderr
    assert [word for word in case.get("words", []) if word not in done.stderr] == [], done.stderr
    assert images(tree) == before


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_bootpilot_install_chooses_the_same(case: dict[str, Any], tmp_path: Path) -> None:
    tree = make_tree(tmp_path, case)
    settings = tree.settings
    order = Guard(
        transports=tuple(Transport(word) for word in settings["transports"].split()),
        min_bytes=settings["min_gb"] * 10**9,
        model=settings["model"],
        serial=settings["serial"],
        path=settings["path"],
        wipe=settings["wipe"],
    )
    reader = DiskReader(run, tree.root)
    try:
        chosen = look_once(reader, Wanted(order, CardName(case.get("card", CARD)), NODE), reader.disks()).name
    except GuardError:
        chosen = ""
    assert chosen == case["chosen"]


@pytest.mark.parametrize(
    ("more", "words"),
    [({"note": False}, "there is no /bootpilot/boot.json"), ({"card": ""}, "names no card")],
    ids=["no note", "no card"],
)
def test_who_is_not_told_the_card_writes_nothing(more: dict[str, Any], words: str, shell: list[str], tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "board", {"disk": [{"name": "sda", "transport": "sata"}], "guard": {"wipe": True}, **more})
    done = guard(shell, tree, "choose")
    assert (done.stdout, done.returncode) == ("", 1)
    assert words in done.stderr
    before = images(tree)
    if "note" in more:
        assert guard(shell, tree, "unmark", "sda").returncode == 1
    assert images(tree) == before


@pytest.mark.parametrize(("holds", "chosen"), [("own claim", "sda"), ("other's claim", "")])
def test_only_the_node_that_began_an_installation_goes_on_with_its_disk(
    holds: str, chosen: str, shell: list[str], tmp_path: Path
) -> None:
    tree = make_tree(tmp_path / "board", {"disk": [{"name": "sda", "transport": "sata", "holds": holds}]})
    assert guard(shell, tree, "choose").stdout.strip() == chosen


def test_unmark_leaves_nothing_of_marks_tables_and_file_systems_but_its_claim(shell: list[str], tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "board", {"disk": [{"name": "sda", "transport": "sata"}, {"name": "sdb", "transport": "sata"}]})
    disk = tree.root / "dev/sda"
    gpt(disk, f"start=2048, size=2048, type={MARK_PARTITION_TYPE}", f"size=16M, type={LINUX}", f"size=8M, type={LINUX}")
    parts = partitions_on(disk)
    with disk.open("r+b") as file:
        for part in parts:
            # In the middle it may stay: nothing finds it there.
            for at in (part.start_bytes, part.start_bytes + part.size_bytes - 4096):
                file.seek(at)
                file.write(b"superblock".ljust(4096, b"x"))
        file.seek(MIB)
        file.write(mark_of(NODE))
    other = (tree.root / "dev/sdb").read_bytes()
    done = guard(shell, tree, "unmark", "sda")
    assert done.returncode == 0, done.stderr
    raw = disk.read_bytes()
    assert len(raw) == 32 * MIB
    assert raw.strip(b"\0") == f"bootpilot claim\n{NODE}".encode() + b"\n"
    assert guard(shell, tree, "choose").returncode == 1  # two blank disks: not even its own claim decides
    assert (tree.root / "dev/sdb").read_bytes() == other
    (tree.root / "sys/block/sdb").unlink()
    assert guard(shell, tree, "choose").stdout.strip() == "sda"
    assert guard(shell, tree, "unclaim", "sda").returncode == 0
    assert disk.read_bytes().strip(b"\0") == b""


def test_partitions_are_told_as_the_agent_reads_them(shell: list[str], tmp_path: Path) -> None:
    holds = ["own mark", "msdos card", "card with a broken table", "nothing"]
    disks = [{"name": f"sd{letter}", "transport": "sata", "holds": what} for letter, what in zip("abcd", holds, strict=True)]
    tree = make_tree(tmp_path / "board", {"disk": disks})
    for disk in disks:
        path = tree.root / "dev" / disk["name"]
        parts = partitions_on(path)
        told = guard(shell, tree, "partitions", disk["name"]).stdout.splitlines()
        wanted = [f"{part.number} {part.start_bytes} {part.size_bytes} {part.kind} {part.partuuid}" for part in parts]
        assert told == wanted, OTHER
