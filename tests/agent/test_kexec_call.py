"""The agent's own kexec, up to the kernel's door: what it is handed, and what its answers mean."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bootpilot_agent import kexec
from bootpilot_agent.errors import KexecError, KexecReturnedError
from bootpilot_agent.flat_tree import FlatTree, Node, read_tree, write_tree
from bootpilot_agent.inventory import KexecCapability
from bootpilot_agent.kexec_call import WAYS, explain
from bootpilot_agent.kexec_syscalls import SYSTEM, Segment
from bootpilot_agent.payload import Payload
from bootpilot_agent.plan import ARCHITECTURES
from tests.agent.test_kexec_segments import QEMU
from tests.fakes.board import RecordingRun
from tests.fakes.kernels import riscv64_image

OPEN = KexecCapability(load=True, file_load=False, lockdown="none")
LOCKED = KexecCapability(load=False, file_load=True, lockdown="integrity")
OLD_INITRD = (0x88200000, 0xB01801)


class RecordingSystem:
    """The kernel's door: keeps what it is handed; answers with an error number if one is set."""

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer
        self.calls: list[str] = []
        self.entry = 0
        self.segments: dict[str, tuple[int, int, bytes]] = {}

    def load(self, entry: int, segments: Sequence[Segment]) -> None:
        self._call("load")
        self.entry = entry
        self.segments = {row.name: (row.address, row.memory_bytes, bytes(row.content)) for row in segments}

    def load_files(self, kernel: int, initrd: int, command_line: str) -> None:
        self._call(f"load files {os.pread(kernel, 2, 0)!r} {os.pread(initrd, 6, 0)!r} {command_line}")

    def unload(self) -> None:
        self._call("unload")

    def jump(self) -> None:
        self._call("jump")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.answer:
            raise OSError(self.answer, os.strerror(self.answer))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board that U-Boot started: its tree has the loader's command line, initrd and spent seeds."""
    tree = FlatTree(Node("", {"serial-number": b"cafe\0"}), [OLD_INITRD, (0x80000000, 0x80000)])
    start, size = OLD_INITRD
    tree.root.child("chosen").properties = {
        "bootargs": b"nr_cpus=1\0",
        "stdout-path": b"/soc/serial@10000000\0",
        "linux,initrd-start": start.to_bytes(8, "big"),
        "linux,initrd-end": (start + size).to_bytes(8, "big"),
        "kaslr-seed": bytes(8),
        "linux,usable-memory-range": bytes(16),
    }
    for name, content in (("sys/firmware/fdt", write_tree(tree)), ("proc/iomem", QEMU.encode())):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def payload(tmp_path: Path) -> Payload:
    (tmp_path / "kernel").write_bytes(riscv64_image(8192))
    (tmp_path / "initrd").write_bytes(b"070701" + bytes(10_000))
    return Payload(tmp_path / "kernel", tmp_path / "initrd", None, "console=ttyS0 panic=10")


def load(payload: Payload, root: Path, capability: KexecCapability = OPEN) -> RecordingSystem:
    system = RecordingSystem()
    run = RecordingRun()
    kexec.load(payload, "riscv64", capability, run, system, root)
    assert run.commands == []
    return system


def test_every_architecture_has_a_way_with_a_reason_and_those_of_the_program_have_flags(payload: Payload) -> None:
    assert set(WAYS) == set(ARCHITECTURES)
    assert all(way.why for way in WAYS.values())
    for arch in (arch for arch, way in WAYS.items() if not way.by_agent):
        assert kexec.load_argv(payload, arch, OPEN)[2] == "-c"


def test_kernel_and_initrd_are_handed_over_whole_in_whole_pages(payload: Payload, root: Path) -> None:
    system = load(payload, root)
    address, memory_bytes, content = system.segments["kernel"]
    assert (address, memory_bytes, content) == (0x80200000 + 0x200000, 0x200000, payload.kernel.read_bytes())
    assert system.entry == address
    assert system.segments["initrd"][1:] == (12288, payload.initrd.read_bytes())


def test_the_next_kernel_finds_its_command_line_and_initrd_in_the_tree_and_the_board_s_own_facts(
    payload: Payload, root: Path
) -> None:
    system = load(payload, root)
    tree = read_tree(system.segments["device tree"][2])
    chosen = tree.root.child("chosen").properties
    start = system.segments["initrd"][0]
    assert chosen["bootargs"] == b"console=ttyS0 panic=10\0"
    assert [int.from_bytes(chosen[f"linux,initrd-{end}"], "big") for end in ("start", "end")] == [start, start + 10_006]
    assert chosen["stdout-path"] == b"/soc/serial@10000000\0"
    assert tree.root.properties["serial-number"] == b"cafe\0"


def test_what_belonged_to_the_loader_s_own_boot_is_gone_and_its_seeds_are_fresh(payload: Payload, root: Path) -> None:
    trees = [read_tree(load(payload, root).segments["device tree"][2]) for _ in range(2)]
    first, second = (tree.root.child("chosen").properties for tree in trees)
    assert trees[0].reserved == [(0x80000000, 0x80000)]
    assert "linux,usable-memory-range" not in first
    assert (len(first["rng-seed"]), len(first["kaslr-seed"])) == (64, 8)
    assert first["rng-seed"] != second["rng-seed"]
    assert first["kaslr-seed"] not in (bytes(8), second["kaslr-seed"])


def test_a_plan_s_own_tree_takes_the_running_one_s_place(payload: Payload, root: Path, tmp_path: Path) -> None:
    dtb = tmp_path / "dtb"
    dtb.write_bytes(write_tree(FlatTree(Node("", {"model": b"from the plan\0"}))))
    system = load(Payload(payload.kernel, payload.initrd, dtb, "quiet"), root)
    tree = read_tree(system.segments["device tree"][2])
    assert tree.root.properties == {"model": b"from the plan\0"}
    assert tree.root.child("chosen").properties["bootargs"] == b"quiet\0"


def test_a_board_without_a_device_tree_is_told_that_the_plan_must_bring_one(payload: Payload, root: Path) -> None:
    (root / "sys/firmware/fdt").unlink()
    with pytest.raises(KexecError, match="without a device tree") as raised:
        load(payload, root)
    assert "policy file" in raised.value.hint


def test_a_damaged_tree_is_named(payload: Payload, root: Path) -> None:
    (root / "sys/firmware/fdt").write_bytes(b"\xd0\x0d\xfe\xed")
    with pytest.raises(KexecError, match="sys/firmware/fdt: a damaged device tree"):
        load(payload, root)


def test_a_locked_down_kernel_is_given_the_files_and_no_tree(payload: Payload, root: Path) -> None:
    assert load(payload, root, LOCKED).calls == ["load files b'MZ' b'070701' console=ttyS0 panic=10"]
    with pytest.raises(KexecError, match="takes no device tree"):
        load(Payload(payload.kernel, payload.initrd, root / "sys/firmware/fdt", ""), root, LOCKED)


@pytest.mark.parametrize(
    ("number", "words", "hint"),
    [
        (errno.EINVAL, "park its other CPUs", "nr_cpus=1"),
        (errno.EBUSY, "another image is being loaded", "again"),
        (errno.EPERM, "forbids kexec", "Secure Boot"),
        (errno.ENOMEM, "out of memory", "smaller"),
        (errno.ENOEXEC, "does not know this format", "kexec_file_load"),
        (errno.EADDRNOTAVAIL, "where there is no memory", "smaller initrd"),
        (errno.ENOSYS, "has no kexec", "CONFIG_KEXEC"),
        (errno.EIO, "Input/output error", ""),
    ],
)
def test_what_the_kernel_answers_is_said_in_words_with_its_number_s_name(
    payload: Payload, root: Path, number: int, words: str, hint: str
) -> None:
    with pytest.raises(KexecError) as raised:
        kexec.load(payload, "riscv64", OPEN, RecordingRun(), RecordingSystem(number), root)
    assert words in raised.value.message
    assert f"({errno.errorcode[number]})" in raised.value.message
    assert hint in raised.value.hint


def test_unload_and_jump_go_through_the_kernel_s_door_too(root: Path) -> None:
    (root / "sys/kernel").mkdir()
    (root / "sys/kernel/kexec_loaded").write_text("1\n")
    system, order = RecordingSystem(), list[str]()
    kexec.unload("riscv64", RecordingRun(), root, system)
    with pytest.raises(KexecReturnedError, match="came back"):
        kexec.jump("riscv64", RecordingRun(), lambda: order.append(f"sync before {len(system.calls)}"), system)
    assert (system.calls, order) == (["unload", "jump"], ["sync before 1"])


def test_a_jump_that_the_kernel_refuses_is_the_same_failure_with_its_reason() -> None:
    with pytest.raises(KexecReturnedError, match=r"did not jump: .*\(EINVAL\)"):
        kexec.jump("riscv64", RecordingRun(), lambda: None, RecordingSystem(errno.EINVAL))


def test_the_real_kernel_s_refusal_is_one_that_can_be_explained() -> None:
    # 17 segments are more than any kernel takes (KEXEC_SEGMENT_MAX), so nothing is loaded, whoever runs this.
    page = Segment("page", 0, 4096, bytearray(4096))
    with pytest.raises(OSError, match=r"Errno") as raised:
        SYSTEM.load(0, [page] * 17)
    assert raised.value.errno in (errno.EINVAL, errno.EPERM, errno.ENOSYS)
    assert explain(raised.value).hint
