"""What a person may choose of an image, and the checks of what was chosen. Starts nothing and writes nothing."""

from dataclasses import dataclass, field

from initramfs.architectures import ARCHITECTURES, Architecture
from initramfs.drivers import DRIVER_GROUPS, DriverGroup
from initramfs.errors import BuildError
from initramfs.progress import Progress


@dataclass(frozen=True)
class BuildOptions:
    """What a person may choose. `groups` are optional rows of drivers.py; `kernel` is another kernel metapackage."""

    refresh: bool = False
    groups: tuple[str, ...] = ()
    kernel: str = ""
    progress: Progress = field(default_factory=Progress, compare=False)


def architecture_named(name: str) -> Architecture:
    """Raises BuildError with the known names."""
    if name not in ARCHITECTURES:
        raise BuildError(f"unknown architecture {name!r}", f"known are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def chosen_groups(names: tuple[str, ...]) -> tuple[DriverGroup, ...]:
    """The standard driver groups and those named. Raises BuildError with the names that there are."""
    optional = {group.name: group for group in DRIVER_GROUPS if not group.standard}
    unknown = [name for name in names if name not in optional]
    if unknown:
        raise BuildError(f"unknown driver group {unknown[0]!r}", f"optional groups are {', '.join(optional)}")
    return tuple(group for group in DRIVER_GROUPS if group.standard or group.name in names)
