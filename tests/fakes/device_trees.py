"""Device trees of tests/data/trees, compiled by dtc, and trees as text to compare them."""

import subprocess
from pathlib import Path

TREES = Path(__file__).parents[1] / "data/trees"
TIMEOUT_S = 60


def compiled(name: str, *options: str) -> bytes:
    """The blob of tests/data/trees/NAME.dts; `-@` keeps its labels, which overlays go by."""
    argv = ["dtc", "-q", "-I", "dts", "-O", "dtb", *options, str(TREES / f"{name}.dts")]
    return subprocess.run(argv, check=True, capture_output=True, timeout=TIMEOUT_S).stdout


def source(blob: bytes) -> str:
    """As dtc tells it, each node and property in the order of the alphabet."""
    argv = ["dtc", "-q", "-s", "-I", "dtb", "-O", "dts"]
    return subprocess.run(argv, input=blob, check=True, capture_output=True, timeout=TIMEOUT_S).stdout.decode()
