"""Loader and payload of different Debian releases' kernels, both ways: neither minds which the other is."""

from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer, free_port
from scripts.lab.chain import Wiring, build_for, make_guest, publish, server_url
from scripts.lab.demo import check_page
from scripts.lab.machines import MACHINES
from tests.qemu.conftest import Boot
from tests.qemu.waiting import wait_for_events

pytestmark = pytest.mark.long

OWN = ""  # bookworm's, as the cards have it
NEWER = "trixie"


@pytest.mark.parametrize(
    ("loader_kernel", "payload_kernel"), [(OWN, NEWER), (NEWER, OWN)], ids=["newer payload", "newer loader"]
)
@pytest.mark.parametrize("arch", ["arm64", "armhf"])
def test_a_card_boots_a_payload_of_another_releases_kernel(
    arch: str, loader_kernel: str, payload_kernel: str, server: BootServer, boot: Boot, folder: Path
) -> None:
    parts = build_for(MACHINES[arch], loader_kernel, payload_kernel)
    versions = [parts.loader.kernel_version, parts.workload.kernel_version]
    assert ("+deb13" in versions[0], "+deb13" in versions[1]) == (loader_kernel == NEWER, payload_kernel == NEWER), versions
    server.start()
    publish(server, parts)
    port = free_port()
    guest = make_guest(parts, "other kernels", folder, Wiring(servers=(server_url(server),), forward_port=port))
    with boot(guest) as (running, verdict):
        check_page(port, guest, verdict)
        wait_for_events(server, "handover", "payload-up")
        assert verdict.kernel == versions[1]
        assert (verdict.cpus, verdict.serial, verdict.mac) == (guest.machine.cpus, guest.identity.serial, guest.identity.mac)
        started = [line for line in running.console().splitlines() if "Linux version " in line]
        assert [version for line in started for version in versions if f"Linux version {version} " in line] == versions
