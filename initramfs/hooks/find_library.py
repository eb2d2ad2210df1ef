"""Run in the frozen agent before anything else: lets ctypes find libraries in the bundle.

ctypes.util.find_library asks ldconfig and the compiler, and a loader has neither; pyudev finds libudev through it. The
module is replaced whole, so that what it would import in order to ask them is not read at every start.
"""

import ctypes
import os
import sys
import types

_BUNDLE = getattr(sys, "_MEIPASS", "")


def find_library(name: str) -> str | None:
    """The bundle's library of that name (`udev` -> .../libudev.so.1), or None."""
    found = sorted(file for file in os.listdir(_BUNDLE) if file.startswith(f"lib{name}.so"))  # noqa: PTH208  # start-up time
    return f"{_BUNDLE}/{found[0]}" if found else None


_module = types.ModuleType("ctypes.util", __doc__)
_module.__dict__["find_library"] = find_library
sys.modules["ctypes.util"] = _module
ctypes.__dict__["util"] = _module
