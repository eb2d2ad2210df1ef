"""Every way an installation can fail, as types. No I/O here.

They are the agent's errors with stages and exit codes of their own: message, hint, and where it failed.
"""

from bootpilot_agent.errors import AgentError


class InstallError(AgentError):
    """An installation failed. The disk is left without a mark, so that nothing boots from it as if it were whole."""

    stage = "install"
    exit_code = 80


class OrderError(InstallError):
    """What the server ordered, or what the loader says of this boot, cannot be read, or the two do not name what is needed."""

    stage = "order"
    exit_code = 81


class GuardError(InstallError):
    """There is not exactly one disk that may be written. Nothing was written."""

    stage = "guard"
    exit_code = 82


class DiskError(InstallError):
    """The disk cannot be partitioned, formatted, mounted, written, or flushed."""

    stage = "disk"
    exit_code = 83


class ImageError(InstallError):
    """The image is damaged, of another kind than ordered, holds what must not be in one, or is larger than was said."""

    stage = "image"
    exit_code = 84


class DiskFullError(ImageError):
    """The image does not fit."""


class SetupError(InstallError):
    """The new system cannot be set up for this board."""

    stage = "configure"
    exit_code = 85


class MarkError(InstallError):
    """The mark cannot be written, or does not read back as it was written."""

    stage = "mark"
    exit_code = 86
