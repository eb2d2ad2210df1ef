"""What the tables of boards read off a console, and how they show it."""

import json

from scripts.lab.board_table import BoardRun, not_simulated, to_json, to_markdown
from scripts.lab.machine import Start
from scripts.lab.milestones import FIRMWARE, Milestones, read_milestones
from scripts.lab.stages import ConsoleLine

CONSOLE = """\
U-Boot SPL 2023.01+dfsg-2 (Jun 22 2026 - 08:38:07 +0000)
U-Boot 2023.01+dfsg-2 (Jun 22 2026 - 08:38:07 +0000) Allwinner Technology
[    0.000000] Linux version 6.1.0-56-armmp (debian-kernel@lists) #1 SMP
[   12.24] drivers: looked for 20 kinds of device
[   14.076396] kexec_core: Starting new kernel
[    0.000000] Linux version 6.1.0-56-armmp (debian-kernel@lists) #1 SMP
"""
LINES = [ConsoleLine(float(second), text) for second, text in enumerate(CONSOLE.splitlines())]


def test_the_milestones_are_what_spoke_before_linux_the_agents_first_line_and_the_jump() -> None:
    found = read_milestones(Start.BOOT_ROM, LINES)
    assert found == Milestones(("U-Boot SPL 2023.01+dfsg-2", "U-Boot 2023.01+dfsg-2"), 3.0, 4.0)


def test_what_was_not_seen_is_none_and_firmware_counts_only_before_linux_and_in_its_order() -> None:
    assert read_milestones(Start.BOOT_ROM, LINES[:1]) == Milestones(("U-Boot SPL 2023.01+dfsg-2",), None, None)
    assert read_milestones(Start.BOOT_ROM, LINES[1:2]).firmware == ()
    assert read_milestones(Start.BIOS, LINES[2:] + LINES[:2]).firmware == ()
    assert read_milestones(Start.CARD_KERNEL, LINES).firmware == ()


def test_every_way_to_start_says_who_speaks() -> None:
    assert set(FIRMWARE) == set(Start)


def test_the_table_has_a_dash_for_what_did_not_happen_and_a_reason_for_what_cannot() -> None:
    runs = [BoardRun("a", "U-Boot | card", "passed: 4 CPUs", 10.4, 20.6, 40.0), BoardRun("b", "c", "failed: no\nverdict", 3.0)]
    runs += not_simulated({"pandaboard": "QEMU models no OMAP4"})
    assert to_markdown(runs).splitlines()[2:] == [
        "| a | U-Boot \\| card | passed: 4 CPUs | 10 s | 21 s | 40 s |",
        "| b | c | failed: no verdict | 3 s | - | - |",
        "| pandaboard | inspection of its image | not simulated: QEMU models no OMAP4 | - | - | - |",
    ]
    assert json.loads(to_json(runs))[1]["kexec_s"] is None
