"""What the demo picks out of a serial console."""

from scripts.lab.stages import ConsoleStages

CONSOLE = """\
U-Boot 2023.01+dfsg-2+deb12u3 (Jun 22 2026 - 08:38:07 +0000)
DRAM:  1 GiB
[    0.000000] Linux version 6.1.0-56-arm64 (debian-kernel@lists) #1 SMP
[    0.100000] printk: console [ttyAMA0] enabled
[   12.24] plan: boot ram-page
           with a second line

and a line of somebody else
           indented by somebody else
[   14.076396] kexec_core: Starting new kernel
[    0.000000] Linux version 6.12.1-arm64 (debian-kernel@lists) #1 SMP
"""


def test_the_stages_are_firmware_both_kernels_the_agents_lines_and_the_jump() -> None:
    stages = ConsoleStages()
    assert [stage for line in CONSOLE.splitlines() if (stage := stages.stage(line))] == [
        "firmware  U-Boot 2023.01+dfsg-2+deb12u3",
        "loader    kernel 6.1.0-56-arm64 starts",
        "agent     plan: boot ram-page",
        "agent     with a second line",
        "loader    kexec: jump into the payload's kernel",
        "payload   kernel 6.12.1-arm64 starts",
    ]


def test_an_installers_lines_are_its_own_until_the_next_kernel() -> None:
    stages = ConsoleStages()
    lines = (
        "Bootpilot installer 0.1.0 (arm64, build 1)",
        "[   25.05] stage: guard",
        "[    0.000000] Linux version 6.1",
        "[   3.10] up",
    )
    assert [stages.stage(line) for line in lines][1::2] == ["installer stage: guard", "agent     up"]
