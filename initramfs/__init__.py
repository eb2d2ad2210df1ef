"""Builds what stands on a card: the loader's kernel and initramfs, and the RAM workload's kernel and initrd."""
