"""How far debian-installer is, told from its menu's log; and the end of an installation that nobody would end."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_server.importing.site_texts import TEXTS
from tests.importing.shells import start_argv
from tests.qemu.waiting import wait_for

SCRIPT = TEXTS / "debian-installer/progress.sh"
# As its menu writes them (main-menu of trixie, by busybox's syslogd).
SELECTED = "Nov 21 10:51:08 main-menu[311]: INFO: Menu item '{}' selected\n"
FAILED = "Nov 21 10:51:09 main-menu[311]: WARNING **: Configuring '{}' failed with error code 1\n"
# What the script starts, written down instead; sleeping is short.
FAKES = {"reboot": 'echo "reboot $*" >>"$PROGRESS_ROOT/called"', "sleep": "exec /bin/busybox sleep 0.05", "sync": ":"}
CALL = '#!/bin/sh\necho "$*" >>"$PROGRESS_ROOT/called"\n'


class Installer:
    """A root folder with the script running in it."""

    def __init__(self, argv: list[str], root: Path) -> None:
        self.argv, self.root = argv, root
        for place in ("etc/bootpilot", "run/bootpilot", "var/log", "dev", "fakes"):
            (root / place).mkdir(parents=True)
        self.log = root / "var/log/syslog"
        self.log.touch()
        for name, does in FAKES.items():
            (root / "fakes" / name).write_text(f"#!/bin/sh\n{does}\n")
            (root / "fakes" / name).chmod(0o755)
        (root / "etc/bootpilot/call-server.sh").write_text(CALL)
        (root / "etc/bootpilot/call-server.sh").chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, give_up_s: int = 10**9) -> None:
        (self.root / "etc/bootpilot/settings.conf").write_text(f"GIVE_UP_S={give_up_s}\n")
        words = [self.argv[0], self.argv[1].replace("PATH=", f"PATH={self.root}/fakes:", 1), *self.argv[2:]]
        environment = {**os.environ, "PROGRESS_ROOT": str(self.root)}
        self.process = subprocess.Popen([*words, str(SCRIPT)], env=environment, stderr=subprocess.DEVNULL)

    def called(self) -> list[str]:
        path = self.root / "called"
        return path.read_text().splitlines() if path.exists() else []

    def menu(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(text)


@pytest.fixture(params=["busybox", "dash"])
def installer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installer]:
    made = Installer(start_argv(request.param, tmp_path), tmp_path / "root")
    yield made
    if made.process:
        made.process.kill()
        made.process.wait()


def test_each_step_of_the_menu_is_told_once(installer: Installer) -> None:
    installer.start()
    installer.menu(SELECTED.format("netcfg") + "Nov 21 10:51:08 netcfg[5]: INFO: Menu item 'x' selected\n")
    wait_for(lambda: "event installing stage=netcfg" in installer.called())
    installer.menu(SELECTED.format("partman-base"))
    wait_for(lambda: "event installing stage=partman-base" in installer.called())
    stages = [line for line in installer.called() if line.startswith("event installing")]
    assert stages == ["event installing stage=netcfg", "event installing stage=partman-base"]
    assert installer.called()[0] == "event payload-up"
    (installer.root / "run/bootpilot/over").touch()
    assert installer.process
    assert installer.process.wait(60) == 0


def test_a_step_that_fails_is_told_with_the_log_and_ends_in_a_reboot(installer: Installer) -> None:
    installer.menu(SELECTED.format("bootstrap-base") + FAILED.format("bootstrap-base"))
    installer.start()
    wait_for(lambda: "reboot -f" in installer.called())
    told = installer.called()
    assert "event failed stage=bootstrap-base message=the installer's step bootstrap-base (1) failed" in told
    assert f"log {installer.log} {installer.root}/var/log/partman" in told
    assert "failed the installer's step bootstrap-base (1) failed" in told
    assert told.index("failed the installer's step bootstrap-base (1) failed") < told.index("reboot ")


def test_an_installation_without_an_end_is_given_up(installer: Installer) -> None:
    installer.menu(SELECTED.format("choose-mirror"))
    installer.start(give_up_s=0)
    wait_for(lambda: "reboot -f" in installer.called())
    assert "failed the installer was not done after 0 s, in the step choose-mirror" in installer.called()


def test_what_another_part_of_the_installer_has_ended_is_not_ended_twice(installer: Installer) -> None:
    (installer.root / "run/bootpilot/over").touch()
    installer.menu(FAILED.format("partman-base"))
    installer.start()
    assert installer.process
    assert installer.process.wait(60) == 0
    assert installer.called() == ["event payload-up"]
