"""The life cycle of installs as it is: a real server process, the real agent, the real installer, a real disk's file."""

import io
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bootpilot_server.asking import ordering
from bootpilot_server.config import Config
from bootpilot_server.deciding.records import NodeRecord
from bootpilot_server.server import opened_server
from bootpilot_server.site_folder.apply import apply_folder
from bootpilot_server.store import node_records
from tests.fakes.images import MORE, install_profile
from tests.fakes.installing_machine import InstallingMachine
from tests.fakes.installs import install_rule
from tests.fakes.root_archives import pack, small_system
from tests.fakes.server_process import RunningServer, bootpilot, running_server
from tests.fakes.site import INITRD, digest, profile, write_site
from tests.fakes.site import KERNEL as ARM_KERNEL
from tests.fakes.whole_board import KERNEL, SERIAL, WAITS, WholeBoard

IMAGE = pack(small_system().bytes(), "zst")
RULE = install_rule("v1").replace("arm64", "amd64")


def for_pc(text: str) -> str:
    return text.replace(digest(ARM_KERNEL), digest(KERNEL))


def lamp(*, local: str = "", install: str = "autonomous_after_s = 300", head: str = "") -> str:
    """An installer for a small disk; the report is what the test itself sends."""
    text = install_profile(install, image=IMAGE, more=MORE.replace("min_gb = 8", ""), head=head)
    return for_pc(text + f"\n[local]\n{local}\n")


@dataclass
class Site:
    """One server's folder, whether it runs or not, and one board."""

    home: Path
    board: WholeBoard
    lamp: str = field(default_factory=lamp)

    def apply(self, **texts: str) -> None:
        more = {"profiles__ram_page": for_pc(profile()), "profiles__lamp": self.lamp, "rules__lab": RULE, **texts}
        with opened_server(Config(self.home), create=True) as server:
            for content in (KERNEL, INITRD, IMAGE):
                server.artifacts.add(io.BytesIO(content))
            applied = apply_folder(write_site(self.home.parent / "site", **more), server)
        assert applied.is_usable, applied.findings

    def run(self, *words: str) -> Any:
        done = bootpilot(self.home, "--json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def node(self) -> Any:
        return self.run("node", "show", SERIAL)

    def order(self, deed: Callable[[Connection, NodeRecord], object]) -> None:
        """As a person does by `bootpilot node ...`, while the server runs."""
        with opened_server(Config(self.home), create=False) as server, server.database.writing() as connection:
            deed(connection, node_records.search_nodes(connection, SERIAL)[0])

    def reinstall(self) -> None:
        self.order(lambda connection, node: ordering.reinstall(connection, node, "lamp", time.time(), "irina"))

    def release(self) -> None:
        self.order(lambda connection, node: ordering.release(connection, node, time.time(), "irina"))

    @property
    def install(self) -> Any:
        """The one that counts now."""
        return self.node["install"]

    def serve(self) -> Any:
        return running_server(self.home)

    def power_on(self, server: RunningServer, *, patient: bool = False) -> str:
        self.board.url = server.url
        return self.board.power_on(patient=patient).how

    def install_once(self, server: RunningServer) -> str:
        """From power on to the new system; its install id."""
        assert self.power_on(server) == "kexec -e", self.board.consoles[-1]
        assert self.board.is_installer
        assert self.board.install() == "kexec -e", self.board.consoles[-1]
        return str(self.board.note["install_id"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server with an installing rule that knows the board, which a person has approved; its disk is blank."""
    with InstallingMachine(tmp_path / "board", "") as machine:
        machine.add_disk()
        site = Site(tmp_path / "home", WholeBoard(machine, ""))
        site.apply()
        with site.serve() as server:
            assert site.power_on(server) == WAITS
        site.order(lambda connection, node: node_records.approve_node(connection, node.id, 1.0))
        yield site


def test_from_a_blank_disk_to_a_system_that_boots_with_and_without_the_server(site: Site) -> None:
    with site.serve() as server:
        install_id = site.install_once(server)
        assert site.install["state"] == "done"
        # Once more, as a copy that was late; and one of an install that this boot was not to make.
        assert [site.board.say_done(meant) for meant in (install_id, str(uuid.uuid4()))] == [200, 200]
        assert site.install["state"] == "done"
        assert site.board.system_speaks().status_code == 200
        assert site.power_on(server) == "kexec -e"
        assert not site.board.is_installer
        assert site.board.note["install_id"] == install_id
        (run,) = site.node["installs"][0]["boots"]
        assert run["stages"][0] == "guard"
        assert run["stages"][-1] == "marked"
        assert run["log"]
        assert "guard" in bootpilot(site.home, "log", SERIAL, "--source", "installer").stdout
    assert site.power_on(server, patient=True) == "kexec -e"
    assert "without a server" in site.board.consoles[-1]
    with site.serve() as server:
        assert site.board.note["install_id"] == install_id
        # It has another port now.
        assert site.board.system_speaks_to(server.url, up_s=90.0).status_code == 200
        assert site.node["text"].startswith("booted its disk by itself at ")
        assert site.install["local_failures"] == 0
        assert site.power_on(server) == "kexec -e"
        assert not site.board.is_installer


def test_a_lost_done_costs_nothing_for_the_mark_says_it(site: Site) -> None:
    with site.serve() as server:
        assert site.power_on(server) == "kexec -e"
        # From here on it hears nothing of the installer, whose token is another one's; artifacts it serves to anybody.
        assert site.board.install(token="nobodys") == "kexec -e", site.board.consoles[-1]
        assert site.install["state"] == "wanted"
        assert site.power_on(server) == "kexec -e"
        assert not site.board.is_installer
        assert site.install["state"] == "done"


def test_a_disk_that_does_not_start_is_rescued_after_so_many_failures_and_a_reinstall_mends_it(site: Site) -> None:
    site.lamp = lamp(local='otherwise = "rescue"\nrescue = "ram-page"\nfailures = 2')
    site.apply()
    with site.serve() as server:
        site.install_once(server)
        with site.board.disk_mounted() as root:
            shutil.rmtree(root / "boot")
        for failed in range(2):
            assert site.power_on(server) == "", failed
        assert site.power_on(server) == "kexec -e"
        assert not site.board.is_installer
        assert site.board.note["profile"] == "ram-page"
        site.reinstall()
        site.install_once(server)
        assert site.install["state"] == "done"
        assert site.power_on(server) == "kexec -e"
        assert not site.board.is_installer


def test_one_that_does_not_start_is_reinstalled_once_and_then_waits(site: Site) -> None:
    site.lamp = lamp(local='otherwise = "reinstall"\nfailures = 1')
    site.apply()
    with site.serve() as server:
        first = site.install_once(server)
        for _ in range(2):
            with site.board.disk_mounted() as root:
                shutil.rmtree(root / "boot")
            assert site.power_on(server) == ""
            ended = site.power_on(server)
            if ended != "kexec -e" or not site.board.is_installer:
                break
            assert site.board.install() == "kexec -e", site.board.consoles[-1]
        assert site.install["install_id"] != first
        told = site.run("explain", SERIAL)
        assert told["action"] == "wait"
        assert "was installed once more already" in told["why"][0]


def test_an_ordered_rescue_boots_it_until_it_is_released(site: Site) -> None:
    with site.serve() as server:
        install_id = site.install_once(server)
        assert site.run("node", "rescue", SERIAL, "--profile", "ram-page", "--yes")
        for _ in range(2):
            assert site.power_on(server) == "kexec -e"
            assert (site.board.note["profile"], site.board.note["install_id"]) == ("ram-page", None)
        site.release()
        assert site.power_on(server) == "kexec -e"
        assert site.board.note["install_id"] == install_id


def test_a_reinstall_that_is_asked_for_in_mid_install_is_made_next(site: Site) -> None:
    with site.serve() as server:
        assert site.power_on(server) == "kexec -e"
        first = str(site.board.note["install_id"])
        site.reinstall()
        assert site.board.install() == "kexec -e"
        wanted = site.install
        assert (wanted["state"], wanted["origin"]) == ("wanted", "order")
        assert wanted["install_id"] != first
        assert site.install_once(server) == wanted["install_id"]
        assert site.install["state"] == "done"
        assert site.power_on(server) == "kexec -e"
        assert not site.board.is_installer


def test_a_database_lost_between_install_and_next_boot_keeps_the_system_and_the_nodes_name(site: Site) -> None:
    with site.serve() as server:
        install_id = site.install_once(server)
        former = site.node["node_id"]
    for path in site.home.glob("state.sqlite*"):
        path.unlink()
    site.apply()
    with site.serve() as server:
        assert site.power_on(server) == "kexec -e"
        assert not site.board.is_installer
        node = site.node
        assert (node["node_id"], node["adopted"], node["install"]["install_id"]) == (former, True, install_id)
        site.reinstall()
        assert site.install_once(server) != install_id


def test_an_installer_that_may_not_write_says_so_and_is_given_up_after_so_many_attempts(site: Site) -> None:
    site.lamp = lamp(head="attempts = 2").replace("[install.disk]", '[install.disk]\nmodel = "ANOTHER"')
    site.apply()
    with site.serve() as server:
        for attempt in range(2):
            assert site.power_on(server) == "kexec -e", attempt
            assert site.board.is_installer
            assert site.board.install() != "kexec -e"
            assert site.node["state"] == "failed"
        assert site.power_on(server) == WAITS
        told = site.run("explain", SERIAL)
        assert told["action"] == "wait"
        assert "failed 2 times, at last: " in told["why"][0]
        assert "ANOTHER" in told["why"][0]
        site.release()
        site.lamp = lamp()
        site.apply()
        site.install_once(server)
        assert site.install["state"] == "done"
