"""Makes SD-card images: firmware, partition table, FAT partition, loader, settings. No root privileges, no loop devices."""
