"""Run in the frozen agent before anything else: lets ctypes find libraries in the bundle.

ctypes.util.find_library asks ldconfig and the compiler, and a loader has neither; pyudev finds libudev through it.
"""

import ctypes.util
import glob
import os
import sys


def find_library(name: str) -> str | None:
    """The bundle's library of that name, else the one that the dynamic loader would find under its plain name."""
    bundle = getattr(sys, "_MEIPASS", "")
    found = sorted(glob.glob(os.path.join(bundle, f"lib{name}.so*")))  # noqa: PTH118, PTH207  # pathlib is not imported yet: start-up time
    return found[0] if found else None


ctypes.util.find_library = find_library
