"""What is in the loader's initramfs, and what its first program does when the worst has happened."""

import io
import json
import os
import selectors
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from initramfs.architectures import ARCHITECTURES
from initramfs.build import Loader, build_loader
from initramfs.chroot import run_in_root
from initramfs.drivers import DRIVER_GROUPS
from initramfs.errors import BuildError
from initramfs.image_layout import LAST_ENTRY
from initramfs.kernel import Kernel, fetch_kernel
from initramfs.kernel_modules import ModuleTree
from initramfs.packages import Packages
from initramfs.programs import APPLETS
from initramfs.progress import Progress
from tests.initramfs.newc import read_newc, unpack

AMD64 = ARCHITECTURES["amd64"]
DEADLINE_S = 60


def kernel_of(arch: str) -> Kernel:
    architecture = ARCHITECTURES[arch]
    return fetch_kernel(Packages(architecture, Progress(io.StringIO())), architecture, architecture.kernel_package)


# Freezing for riscv64 takes minutes under emulation, and nothing else among the ordinary tests needs it.
@pytest.mark.parametrize("arch", ["amd64", "arm64", "armhf", pytest.param("riscv64", marks=pytest.mark.long)])
def test_the_whole_image_is_at_most_12_mb_and_of_the_kernels_release(arch: str) -> None:
    loader = build_loader(arch)
    assert loader.initramfs.stat().st_size <= 12_000_000
    assert loader.kernel_version == kernel_of(arch).version


def test_every_driver_of_the_table_is_in_some_kernel() -> None:
    trees = [ModuleTree(kernel_of(arch).modules) for arch in ARCHITECTURES]
    words = {word for group in DRIVER_GROUPS for word in group.modules.split()}
    assert {word for word in words if not any(tree.matching([word]) or tree.is_built_in(word) for tree in trees)} == set()


@pytest.mark.parametrize("wanted", ["trixe", "linux-headers-arm64", "arm64/trixie"])
def test_what_is_no_kernel_is_refused_with_what_can_be_named(wanted: str) -> None:
    architecture = ARCHITECTURES["arm64"]
    with pytest.raises(BuildError, match=f"'{wanted}' is no kernel") as caught:
        fetch_kernel(Packages(architecture, Progress(io.StringIO())), architecture, wanted)
    assert "a Debian release (trixie), a package (linux-image-arm64/trixie)" in caught.value.hint


def test_a_release_stands_for_its_kernel_of_the_architecture() -> None:
    architecture = ARCHITECTURES["arm64"]
    kernels = [
        fetch_kernel(Packages(architecture, Progress(io.StringIO())), architecture, wanted)
        for wanted in ("bookworm", "linux-image-arm64/bookworm")
    ]
    assert kernels[0] == kernels[1]
    assert kernels[0].version.endswith("-arm64")


def test_a_second_build_is_the_first_one(loader: Loader) -> None:
    assert build_loader("amd64") == loader


def test_the_mark_of_a_whole_image_is_its_last_entry(loader: Loader) -> None:
    assert read_newc(unpack(loader.initramfs))[-1].name == LAST_ENTRY


def test_the_build_says_what_it_is(loader: Loader, loader_tree: Path) -> None:
    facts = json.loads((loader_tree / "etc" / "bootpilot" / "build.json").read_text())
    assert (facts["build_id"], facts["arch"], len(facts["build_id"])) == (loader.build_id, "amd64", 16)
    assert 1_600_000_000 < facts["built_unix_s"] < time.time()


def test_every_link_leads_somewhere(loader_tree: Path) -> None:
    def target(link: Path) -> Path:
        text = str(link.readlink())
        return loader_tree / text.lstrip("/") if text.startswith("/") else link.parent / text

    links = [path for path in loader_tree.rglob("*") if path.is_symlink()]
    assert links
    assert [str(link) for link in links if not target(link).exists()] == []


def test_busybox_has_every_applet_that_is_linked(loader_tree: Path) -> None:
    applets = run_in_root(AMD64, loader_tree, ["/bin/busybox", "--list"], timeout_s=60).split()
    assert set(APPLETS.split()) <= set(applets)


@pytest.mark.parametrize("program", ["kexec --version", "modprobe --version", "ip link help", "udhcpc --help"])
def test_every_program_starts(loader_tree: Path, program: str) -> None:
    said = run_in_root(AMD64, loader_tree, ["/bin/sh", "-c", f"{program} 2>&1; [ $? -lt 126 ]"], timeout_s=60)
    assert said


@pytest.mark.parametrize(
    "name", ["virtio_net", "e1000e", "ext4", "vfat", "nls_ascii", "usb-storage", "8021q", "i6300esb", "r8152"]
)
def test_modprobe_finds_modules_and_what_they_need(loader: Loader, loader_tree: Path, name: str) -> None:
    argv = ["/sbin/modprobe", "--set-version", loader.kernel_version, "--show-depends", name]
    said = run_in_root(AMD64, loader_tree, argv, timeout_s=60)
    assert said.splitlines()[-1].split()[0] in ("insmod", "builtin")


def test_a_device_s_alias_leads_to_its_driver(loader: Loader, loader_tree: Path) -> None:
    alias = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00"  # QEMU's e1000e
    argv = ["/sbin/modprobe", "--set-version", loader.kernel_version, "--resolve-alias", alias]
    assert run_in_root(AMD64, loader_tree, argv, timeout_s=60).split() == ["e1000e"]


def first_program_says(tree: Path, until: str) -> str:
    """What /init says as process 1 of namespaces of its own, up to the words `until`; then it is ended."""
    argv = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "chroot", str(tree), "/init"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            return read_until(process, until)
        finally:
            process.kill()  # and with it, by --kill-child, process 1 of the namespaces and everything in there


def read_until(process: subprocess.Popen[bytes], until: str) -> str:
    assert process.stdout
    said = b""
    end_s = time.monotonic() + DEADLINE_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while until.encode() not in said and time.monotonic() < end_s:
            if selector.select(1.0):
                chunk = os.read(process.stdout.fileno(), 4096)
                if not chunk:
                    break
                said += chunk
    return said.decode(errors="replace")


@pytest.fixture
def own_tree(loader_tree: Path, tmp_path: Path) -> Path:
    """A copy of the loader's tree, without its modules, for a test to damage."""
    return Path(shutil.copytree(loader_tree, tmp_path / "tree", symlinks=True, ignore=shutil.ignore_patterns("modules")))


def test_an_image_that_was_cut_off_is_recognised(own_tree: Path) -> None:
    (own_tree / LAST_ENTRY).unlink()
    said = first_program_says(own_tree, "rebooting in")
    assert "the initramfs is incomplete" in said
    assert "rootfstype=ramfs" in said
    assert "rebooting in 30 s" in said


def test_a_missing_agent_is_said_and_leads_to_a_reboot(own_tree: Path) -> None:
    (own_tree / "opt" / "bootpilot" / "bootpilot-agent").unlink()
    said = first_program_says(own_tree, "rebooting in")
    assert "there is no agent at /opt/bootpilot/bootpilot-agent" in said
    assert "rebooting in 30 s" in said


def test_an_agent_that_ends_is_said_with_its_exit_code_and_leads_to_a_reboot(own_tree: Path) -> None:
    agent = own_tree / "opt" / "bootpilot" / "bootpilot-agent"
    agent.unlink()
    agent.write_text("#!/bin/sh\necho agent was here\nexit 3\n")
    agent.chmod(0o755)
    said = first_program_says(own_tree, "rebooting in")
    assert said.index("agent was here") < said.index("the agent ended with exit code 3") < said.index("rebooting in 30 s")
