"""/init and the agent read the same command line; what one takes for yes, the other must."""

import re
import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.kernel_command_line import read_command_line
from bootpilot_agent.settings import merge

INIT = Path(__file__).parents[2] / "initramfs/overlay/init"


def init_wants_a_shell(command_line: str, folder: Path) -> bool:
    """The answer of /init's own function, with another file in the place of /proc/cmdline."""
    found = re.search(r"^wants_shell\(\) \{\n.*?^\}\n", INIT.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    file = folder / "cmdline"
    file.write_text(command_line + "\n")
    script = found[0].replace("/proc/cmdline", str(file)) + "wants_shell"
    return subprocess.run(["sh", "-c", script], check=False, timeout=20).returncode == 0


@pytest.mark.parametrize(
    "command_line",
    [
        "console=ttyS0 quiet",
        "bootpilot.shell",
        "quiet bootpilot.shell=1 * panic=10",
        "bootpilot.shell=true",
        "bootpilot.shell=True",
        "bootpilot.shell=yes",
        "bootpilot.shell=on",
        "bootpilot.shell=no",
        "bootpilot.shell=0",
        "bootpilot.shell=perhaps",
        "bootpilot.shellfish",
        "bootpilot.shell bootpilot.shell=off",
        "bootpilot.shell=off bootpilot.shell",
    ],
)
def test_init_opens_a_shell_exactly_where_the_agent_leaves_for_one(command_line: str, tmp_path: Path) -> None:
    assert init_wants_a_shell(command_line, tmp_path) is merge(read_command_line(command_line))[0].shell
