"""The same inputs give the same bytes: another checkout, another cache, another umask, everything unpacked and frozen anew."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from initramfs.build import build_loader, build_workload
from initramfs.cache import bootpilot_cache

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 1800
# Freezing for another processor takes minutes.
ARCHES = ["amd64", pytest.param("riscv64", marks=pytest.mark.long)]


def build_elsewhere(folder: Path, *arguments: str) -> None:
    """Build from a copy of the sources, with a cache that has only what came over the network."""
    checkout = folder / "another checkout"
    if not checkout.exists():
        for name in ("agent", "initramfs"):
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        for name in ("packages", "resolved", "wheels", "segments"):
            shutil.copytree(bootpilot_cache() / name, folder / "cache" / "bootpilot" / name)
    subprocess.run(
        ["/bin/sh", "-c", 'umask 027; exec "$@"', "sh", sys.executable, "-m", "initramfs", *arguments],
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": f"{checkout}:{checkout / 'agent'}"},
        cwd=folder,
        check=True,
        timeout=BUILD_TIMEOUT_S,
    )


@pytest.mark.parametrize("arch", ARCHES)
def test_loader_and_workload_built_elsewhere_have_the_same_bytes(arch: str, tmp_path: Path) -> None:
    loader, workload = build_loader(arch), build_workload(arch)
    build_elsewhere(tmp_path, arch, "--output", str(tmp_path / "loader"))
    build_elsewhere(tmp_path, arch, "--workload", "--output", str(tmp_path / "workload"))
    assert (tmp_path / "loader" / "initramfs.zst").read_bytes() == loader.initramfs.read_bytes()
    assert (tmp_path / "loader" / "vmlinuz").read_bytes() == loader.kernel.read_bytes()
    assert (tmp_path / "workload" / "initrd.zst").read_bytes() == workload.initrd.read_bytes()
