"""The identity that a test gives: the tree of a captured board, in an extra initrd, in place of the machine's own.

Who the board is (evidence, model, `compatible`) is read there; memory, network, disks and kexec stay the machine's. Whatever
the settings say, such a loader's reports are `simulated`.
"""

from pathlib import Path

IDENTITY = "bootpilot/identity"


def is_given(root: Path = Path("/")) -> bool:
    """Was there such an initrd? No plan can bring one: its files stay out of /bootpilot/ (plan.PayloadFile)."""
    return (root / IDENTITY).is_dir()


def identity_root(root: Path = Path("/")) -> Path:
    """Where /proc and /sys tell who this board is."""
    return root / IDENTITY if is_given(root) else root
