"""A card made at the end of the first issue boots against today's server, and takes today's loader from it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lab.boot_server import BootServer, free_port
from scripts.lab.chain import Built, Wiring, make_guest, publish, server_url
from scripts.lab.demo import check_page
from scripts.lab.guest import CardBoot
from tests.qemu.conftest import Boot
from tests.qemu.first_card import build_first_card
from tests.qemu.newer_loader import publish_loader
from tests.qemu.waiting import wait_for_events

pytestmark = pytest.mark.long


@pytest.mark.parametrize("newer", [False, True], ids=["its own loader", "today's loader after it"])
def test_a_card_of_the_first_issue_boots_today(
    newer: bool, built: Callable[[str], Built], server: BootServer, boot: Boot, folder: Path
) -> None:
    today = built("arm64")
    server.start()
    publish(server, today)
    if newer:
        publish_loader(server, today, folder / "new", today.loader.build_id)
    port = free_port()
    guest = make_guest(today, "first card", folder, Wiring((server_url(server),), forward_port=port))
    assert isinstance(guest.boot, CardBoot)
    image = build_first_card("virt-arm64", server_url(server), folder / "first.img")
    with boot(replace(guest, boot=replace(guest.boot, image=image))) as (running, verdict):
        check_page(port, guest, verdict)
        wait_for_events(server, "payload-up")
        (node,) = server.nodes()
        assert node["boot_id"] == verdict.boot_id
        assert running.console().count("Starting new kernel") == (2 if newer else 1)
        report = node["report"]
        if newer:
            assert len(set(report["loader_builds"])) == 2
            assert report["agent"]["build_id"] == report["loader_builds"][-1] == today.loader.build_id
        else:
            assert report["loader_builds"] == []  # it knows nothing of them
            assert report["agent"]["build_id"] != today.loader.build_id
