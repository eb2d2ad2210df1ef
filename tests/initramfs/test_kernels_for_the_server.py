"""Debian's own kernels and our workloads' initrds, as the boot server reads them."""

import gzip

import pytest

from bootpilot_server.artifacts.initrd_content import module_versions
from bootpilot_server.artifacts.kernel_forms import is_wrapped, unwrap
from bootpilot_server.artifacts.kernel_header import kernel_arch
from bootpilot_server.artifacts.kernel_version import kernel_version
from initramfs.build import build_workload


@pytest.mark.parametrize("arch", ["amd64", "arm64", "armhf"])
def test_a_kernel_is_of_the_release_that_its_initrd_has_modules_for(arch: str) -> None:
    workload = build_workload(arch)
    image = workload.kernel.read_bytes()
    with workload.initrd.open("rb") as initrd:
        (release,) = module_versions(initrd)
    assert (kernel_arch(image[:1024]), kernel_version(image)) == (arch, release)
    assert not is_wrapped(image)


def test_debians_arm64_image_comes_out_of_gzip_as_it_went_in() -> None:
    image = build_workload("arm64").kernel.read_bytes()
    packed = gzip.compress(image, 1)
    assert is_wrapped(packed)
    assert unwrap(packed, "vmlinuz").kernel == image
