"""The command that loads the payload, and what happens around the jump."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bootpilot_agent.errors import CommandError, KexecReturnedError
from bootpilot_agent.inventory import KexecCapability
from bootpilot_agent.kexec import jump, load_argv, unload
from bootpilot_agent.payload import Payload
from bootpilot_agent.run import Completed
from tests.fakes.board import RecordingRun

PAYLOAD = Payload(Path("/payload/kernel"), Path("/payload/initrd"), None, "console=ttyAMA0 root=/dev/ram0")
OPEN = KexecCapability(load=True, file_load=False, lockdown="none")
LOCKED = KexecCapability(load=False, file_load=True, lockdown="integrity")


@pytest.mark.parametrize(
    ("arch", "flags"),
    [("amd64", ["-c", "-i"]), ("arm64", ["-c", "-i"]), ("armhf", ["-c", "--image-size=0x4000000"])],
)
def test_each_architecture_has_its_flags(arch: str, flags: list[str]) -> None:
    assert load_argv(PAYLOAD, arch, OPEN) == [
        "kexec",
        "-l",
        *flags,
        "--initrd=/payload/initrd",
        "--command-line=console=ttyAMA0 root=/dev/ram0",
        "/payload/kernel",
    ]


def test_a_locked_down_kernel_loads_by_file() -> None:
    assert load_argv(PAYLOAD, "amd64", LOCKED)[2:3] == ["-s"]


def test_a_device_tree_is_passed_if_the_plan_brought_one() -> None:
    with_tree = Payload(PAYLOAD.kernel, PAYLOAD.initrd, Path("/payload/dtb"), "")
    assert "--dtb=/payload/dtb" in load_argv(with_tree, "arm64", OPEN)
    assert "--command-line=" in load_argv(with_tree, "arm64", OPEN)


def test_what_an_earlier_try_loaded_is_unloaded_first(tmp_path: Path) -> None:
    run = RecordingRun()
    unload("arm64", run, tmp_path)
    (tmp_path / "sys/kernel").mkdir(parents=True)
    for state in ("0", "1"):
        (tmp_path / "sys/kernel/kexec_loaded").write_text(f"{state}\n")
        unload("arm64", run, tmp_path)
    assert run.commands == [["kexec", "-u"]]


def test_a_jump_syncs_first_and_fails_whenever_it_comes_back() -> None:
    order: list[str] = []

    def come_back(argv: Sequence[str], *, timeout_s: float, check: bool = True) -> Completed:
        order.append(" ".join(argv))
        return Completed(0, "", "")

    with pytest.raises(KexecReturnedError, match="came back"):
        jump("arm64", come_back, lambda: order.append("sync"))
    assert order == ["sync", "kexec -e"]


def test_a_jump_that_cannot_even_start_is_the_same_failure() -> None:
    def missing(argv: Sequence[str], *, timeout_s: float, check: bool = True) -> Completed:
        raise CommandError("kexec: not found")

    with pytest.raises(KexecReturnedError, match="not found"):
        jump("arm64", missing, lambda: None)
