"""A web server with a database on a board's own disk: installed, kept over power cycles, there without a boot server too."""

import contextlib
import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.lab.boot_server import BootServer, fetch, free_port
from scripts.lab.chain import Built
from scripts.lab.disks import Bus
from scripts.lab.install_site import DiskWish, InstallWish
from scripts.lab.installing import install_kit
from tests.conftest import LOST_KERNEL
from tests.qemu.install_bench import Run, install_bench

pytestmark = pytest.mark.long

# One board has its disk on SATA, the other on USB.
BUSES = {"arm64": Bus.SATA, "armhf": Bus.USB}
DISK_MIB = 2048
# Of one power-on; the first one writes 500 MB through an emulated CPU.
DEADLINE_S = 1500.0


def status_of(port: int) -> dict[str, Any]:
    """What the board's page says, as JSON; {} while there is none, or its database is not up yet."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        return dict(json.loads(fetch(port, "/status.json")))
    return {}


@pytest.mark.parametrize("arch", BUSES)
def test_a_board_serves_its_database_from_its_disk_after_each_power_cycle_and_without_a_server(
    arch: str,
    built: Callable[[str], Built],
    server: BootServer,
    folder: Path,
    record_property: Callable[[str, object], None],
) -> None:
    kit = install_kit(built(arch), "lamp")
    with install_bench(kit, folder, server, lambda why: record_property(LOST_KERNEL, why)) as bench:
        bench.deadline_s = DEADLINE_S
        bench.want(InstallWish(disk=DiskWish(transports=(BUSES[arch].name.lower(),)), autonomous_after_s=0))
        disk, port = bench.disk("D1", BUSES[arch], DISK_MIB), free_port()
        board = bench.board("lamp", disk, port=port)
        card = board.state(disk)

        def power_on(boots: int, phase: str) -> Run:
            seen: list[tuple[dict[str, Any], str, float]] = []

            def is_served(run: Run) -> bool:
                if status_of(port).get("boots") == boots:
                    seen.append((status_of(port), fetch(port, "/").decode(), run.running.elapsed_s()))
                return bool(seen)

            run = board.run(is_served, f"{phase}: a page with {boots} rows")
            status, page, seconds = seen[0]
            print(f"{arch}: {phase}: {seconds:.0f} s from power on to the page")
            assert [int(row["number"]) for row in status["rows"]] == list(range(boots, 0, -1))
            assert all(row["kernel_boot"] in page for row in status["rows"] if not row["boot_id"])
            return run

        installed = power_on(1, "install")
        assert (installed.stages()[-1], board.install()["state"]) == ("marked", "done")
        planned = power_on(2, "from its disk")
        assert (planned.stages(), planned.kernels()) == ([], 1)
        server.stop()
        bench.relay.close()
        assert power_on(3, "without a server").kernels() == 1
        assert card.changed() == []
