"""The smallest kernels stand in scripts/lab/, where the fault matrix uses them too; tests find them here."""

from scripts.lab.small_kernels import KERNELS, SIZE, arm64_image, bzimage, device_tree, riscv64_image, zimage

__all__ = ["KERNELS", "SIZE", "arm64_image", "bzimage", "device_tree", "riscv64_image", "zimage"]
