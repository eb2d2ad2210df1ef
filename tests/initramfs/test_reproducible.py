"""The same inputs give the same bytes: another checkout, another cache, another umask, everything unpacked and frozen anew."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from initramfs.build import Loader, Workload
from initramfs.cache import bootpilot_cache

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 900


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


def test_loader_and_workload_built_elsewhere_have_the_same_bytes(loader: Loader, workload: Workload, tmp_path: Path) -> None:
    build_elsewhere(tmp_path, "amd64", "--output", str(tmp_path / "loader"))
    build_elsewhere(tmp_path, "amd64", "--workload", "--output", str(tmp_path / "workload"))
    assert (tmp_path / "loader" / "initramfs.zst").read_bytes() == loader.initramfs.read_bytes()
    assert (tmp_path / "loader" / "vmlinuz").read_bytes() == loader.kernel.read_bytes()
    assert (tmp_path / "workload" / "initrd.zst").read_bytes() == workload.initrd.read_bytes()
