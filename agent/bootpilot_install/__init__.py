"""The image installer: one disk, chosen by the order's guard, gets one system. Runs in RAM after the loader's kexec."""
