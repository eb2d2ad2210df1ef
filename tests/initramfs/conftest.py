"""The loader and the workload that tests look into, built once or taken from the cache."""

from pathlib import Path

import pytest

from initramfs.build import Loader, RamSystem, build_loader, build_workload
from tests.initramfs.newc import unpack_tree


@pytest.fixture(scope="session")
def loader() -> Loader:
    return build_loader("amd64")


@pytest.fixture(scope="session")
def workload() -> RamSystem:
    return build_workload("amd64")


@pytest.fixture(scope="session")
def loader_tree(loader: Loader, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loader's initramfs, unpacked. Tests only read it."""
    return unpack_tree(loader.initramfs, tmp_path_factory.mktemp("loader"))


@pytest.fixture(scope="session")
def workload_tree(workload: RamSystem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workload's initrd, unpacked. Tests only read it."""
    return unpack_tree(workload.initrd, tmp_path_factory.mktemp("workload"))
