"""Kernels that QEMU itself killed in this test run, told apart from failures of ours; the summary shows them."""

LOST_KERNELS: list[str] = []
