"""Which modules come along, on a small tree of modules that a real compiler made."""

import lzma
import subprocess
from pathlib import Path

import pytest

from initramfs.drivers import DRIVER_GROUPS
from initramfs.errors import BuildError
from initramfs.kernel_modules import ModuleTree, closure, module_bytes, module_name

TIMEOUT_S = 60


def add_module(tree: Path, path: str, *facts: str) -> None:
    file = tree / "kernel" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    info = "".join(f"{fact}\\0" for fact in (*facts, f"name={module_name(file.name)}"))
    source = f'__attribute__((section(".modinfo"))) const char facts[] = "{info}";'
    argv = ["gcc", "-xc", "-c", "-o", str(file), "-"]
    subprocess.run(argv, input=source.encode(), check=True, timeout=TIMEOUT_S)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    add_module(tmp_path, "drivers/net/card.ko", "depends=bus-core,phy", "firmware=card/blob.bin")
    add_module(tmp_path, "drivers/net/phy/phy.ko", "depends=")
    add_module(tmp_path, "drivers/net/phy/other-phy.ko", "depends=")
    add_module(tmp_path, "fs/disk.ko", "depends=", "softdep=pre: crypto-sum post: late-helper")
    add_module(tmp_path, "lib/sum_generic.ko", "depends=", "alias=crypto-sum")
    add_module(tmp_path, "lib/late_helper.ko", "depends=")
    add_module(tmp_path, "lib/lonely.ko", "depends=nowhere")
    (tmp_path / "modules.builtin").write_text("kernel/drivers/base/bus_core.ko\n")
    return tmp_path


def chosen(tree: Path, *patterns: str) -> list[str]:
    modules = ModuleTree(tree)
    return [module.path for module in closure(modules, modules.matching(patterns))]


def test_what_a_module_depends_on_comes_along_unless_it_is_built_in(tree: Path) -> None:
    assert chosen(tree, "card") == ["kernel/drivers/net/card.ko", "kernel/drivers/net/phy/phy.ko"]


def test_soft_dependencies_come_by_name_and_by_alias(tree: Path) -> None:
    assert chosen(tree, "disk") == ["kernel/fs/disk.ko", "kernel/lib/late_helper.ko", "kernel/lib/sum_generic.ko"]


def test_a_path_with_a_star_takes_a_folder(tree: Path) -> None:
    assert chosen(tree, "drivers/net/phy/*") == ["kernel/drivers/net/phy/other-phy.ko", "kernel/drivers/net/phy/phy.ko"]


def test_dashes_and_underscores_are_the_same(tree: Path) -> None:
    assert chosen(tree, "other_phy") == chosen(tree, "other-phy") == ["kernel/drivers/net/phy/other-phy.ko"]


def test_a_module_that_the_kernel_does_not_have_is_left_out(tree: Path) -> None:
    assert chosen(tree, "phy", "of-another-architecture") == ["kernel/drivers/net/phy/phy.ko"]


def test_a_dependency_that_is_nowhere_is_an_error_that_names_both(tree: Path) -> None:
    with pytest.raises(BuildError, match="lonely needs nowhere"):
        chosen(tree, "lonely")


def test_compressed_modules_are_read_and_unpacked(tree: Path) -> None:
    for path in sorted(tree.rglob("*.ko")):
        path.with_suffix(".ko.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
    assert chosen(tree, "card") == ["kernel/drivers/net/card.ko.xz", "kernel/drivers/net/phy/phy.ko.xz"]
    assert module_bytes(tree / "kernel/drivers/net/card.ko.xz").startswith(b"\x7fELF")


def test_a_folder_without_modules_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no kernel modules"):
        ModuleTree(tmp_path)


def test_every_driver_group_has_a_name_of_its_own_and_a_reason() -> None:
    names = [group.name for group in DRIVER_GROUPS]
    assert len(names) == len(set(names))
    assert all(len(group.reason) > 10 for group in DRIVER_GROUPS)


def test_no_driver_group_names_a_module_twice() -> None:
    for group in DRIVER_GROUPS:
        words = [module_name(word) for word in group.modules.split()]
        assert len(words) == len(set(words)), group.name


def test_what_the_workload_carries_the_loader_carries_too() -> None:
    assert [group.name for group in DRIVER_GROUPS if group.workload and not group.standard] == []
