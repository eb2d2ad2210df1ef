"""The lamp system, installed for real: nothing of the building machine in it, and all that a first boot needs."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from scripts.rootfs.__main__ import copied
from scripts.rootfs.build import Rootfs, build_rootfs

ARCHES = ["amd64", "arm64", "armhf"]


@pytest.mark.long
@pytest.mark.parametrize("arch", ARCHES)
def test_it_has_all_that_a_board_boots_and_serves_with(arch: str, tmp_path: Path) -> None:
    built = build_rootfs("lamp", arch)
    members = read(built, tmp_path)
    for name in ("usr/sbin/apache2", "usr/sbin/mariadbd", "usr/share/lamp/index.php", "etc/apache2/conf-enabled/lamp.conf"):
        assert name in members, name
    assert "etc/systemd/system/multi-user.target.wants/lamp-row.service" in members
    assert f"boot/initrd.img-{built.kernel_version}" in members
    assert built.unpacked_bytes < 600_000_000


@pytest.mark.long
@pytest.mark.parametrize("arch", ARCHES)
def test_no_secret_and_no_device_is_in_it(arch: str, tmp_path: Path) -> None:
    members = read(build_rootfs("lamp", arch), tmp_path)
    assert [name for name in members if name.startswith("etc/ssh/ssh_host_")] == []
    assert [name for name, member in members.items() if member.isdev()] == []
    assert members["dev"].isdir()
    assert members["etc/machine-id"].size == 0


@pytest.mark.long
def test_its_facts_lie_beside_a_copy(tmp_path: Path) -> None:
    built = build_rootfs("lamp", "amd64")
    copied(built, tmp_path)
    facts = json.loads((tmp_path / "lamp-amd64.json").read_text())
    assert (facts["sha256"], facts["archive"]) == (built.sha256, "lamp-amd64.tar.zst")
    assert facts["packages"]["mariadb-server"]


def read(built: Rootfs, folder: Path) -> dict[str, tarfile.TarInfo]:
    plain = folder / "root.tar"
    subprocess.run(["zstd", "--quiet", "--decompress", str(built.archive), "-o", str(plain)], check=True, timeout=600)
    with tarfile.open(plain) as tar:
        return {member.name.removeprefix("./"): member for member in tar}
