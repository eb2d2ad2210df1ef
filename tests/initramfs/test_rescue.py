"""What is in the rescue system's image, and what its own texts make of the agent's note."""

import json
import stat
from pathlib import Path

import pytest

from initramfs.architectures import ARCHITECTURES
from initramfs.build import RamSystem, build_rescue
from initramfs.chroot import run_in_root
from initramfs.first_program import FIRST_PROGRAM
from initramfs.image_layout import LAST_ENTRY
from initramfs.ram_programs import SFTP_SERVER_PLACE
from initramfs.rescue import PROGRAM, SELF_TEST
from tests.initramfs.newc import read_newc, unpack, unpack_tree

AMD64 = ARCHITECTURES["amd64"]
FOREIGN = [pytest.param(arch, marks=pytest.mark.long) for arch in ARCHITECTURES if arch != "amd64"]


@pytest.fixture(scope="module")
def rescue() -> RamSystem:
    return build_rescue("amd64")


@pytest.fixture(scope="module")
def tree(rescue: RamSystem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its initrd, unpacked. Tests only read it."""
    return unpack_tree(rescue.initrd, tmp_path_factory.mktemp("rescue"))


@pytest.mark.parametrize("arch", ["amd64", *FOREIGN])
def test_the_image_is_at_most_18_mb_and_all_of_it_works_on_its_own(arch: str, tmp_path: Path) -> None:
    built = build_rescue(arch)
    assert built.initrd.stat().st_size <= 18_000_000
    tree = unpack_tree(built.initrd, tmp_path)
    run_in_root(ARCHITECTURES[arch], tree, ["/bin/sh", "-c", SELF_TEST], timeout_s=300)


def test_a_second_build_is_the_first_one(rescue: RamSystem) -> None:
    assert build_rescue("amd64") == rescue
    assert read_newc(unpack(rescue.initrd))[-1].name == LAST_ENTRY


def test_nobody_can_log_in_unless_the_plan_brings_a_key(tree: Path) -> None:
    assert not (tree / "root/.ssh").exists()
    assert (tree / "etc/passwd").read_text().startswith("root:x:")
    assert not (tree / "etc/shadow").exists()
    assert "dropbear -F -E -s " in (tree / PROGRAM.lstrip("/")).read_text()
    assert list(tree.rglob("*host_key*")) == []


def test_it_is_started_by_the_loader_s_first_program(tree: Path) -> None:
    assert f"agent='{PROGRAM}'" in (tree / FIRST_PROGRAM).read_text()
    for name in (PROGRAM, SFTP_SERVER_PLACE, "usr/sbin/reboot"):
        assert stat.S_IMODE((tree / name.lstrip("/")).stat().st_mode) == 0o755


def test_a_reboot_unmounts_first(tree: Path) -> None:
    for name in ("reboot", "poweroff", "halt"):
        found = run_in_root(AMD64, tree, ["/bin/sh", "-c", f"command -v {name}"], timeout_s=60)
        assert found == f"/usr/sbin/{name}\n"
        assert "umount -a -r" in (tree / "usr/sbin" / name).read_text()


def test_what_it_tells_the_server_names_the_host_key(tree: Path) -> None:
    text = (tree / PROGRAM.lstrip("/")).read_text()
    start, end = text.index("rescue_json() {"), text.index("report_up() {")
    script = (
        f". /usr/lib/workload/facts; read_boot_note; interface=lo fingerprint='SHA256:a/b+c'; {text[start:end]} rescue_json"
    )
    told = json.loads(run_in_root(AMD64, tree, ["/bin/sh", "-c", script], timeout_s=60))
    assert told["rescue"] is True
    assert told["ssh_host_key"] == "SHA256:a/b+c"
