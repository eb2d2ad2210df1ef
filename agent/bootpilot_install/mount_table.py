"""One row of the new system's mounts. Pure data."""

from dataclasses import dataclass

from bootpilot_agent.install_order import FileSystem


@dataclass(frozen=True)
class MountRow:
    """A partition, where it is mounted ("" for swap), and what is on it."""

    partuuid: str
    mount: str
    file_system: FileSystem
