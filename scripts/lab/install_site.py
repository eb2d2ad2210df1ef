"""The folder that tells a boot server what simulated boards install: a profile, and the rule that wants it. No I/O here."""

from dataclasses import dataclass

from scripts.lab.machine import Machine
from scripts.lab.site_folder import StoredArtifact

PROFILE = "disk"


@dataclass(frozen=True)
class DiskWish:
    """The profile's [install.disk]; what is "" or 0 is left out."""

    transports: tuple[str, ...] = ("sata",)
    serial: str = ""
    min_gb: int = 0
    wipe: bool = False

    def to_toml(self) -> str:
        lines = [f"transports = [{', '.join(_text(name) for name in self.transports)}]"]
        lines += [f"serial = {_text(self.serial)}"] if self.serial else []
        lines += [f"min_gb = {self.min_gb}"] if self.min_gb else []
        lines += ["wipe = true"] if self.wipe else []
        return "\n".join(lines)


@dataclass(frozen=True)
class InstallWish:
    """What boards are to install, and how often it is tried. Another `key` is another installation.

    Only boards that were approved get it: a rule alone lets nobody write a disk. `tells_size`: the profile says what the image
    unpacks to, so that a disk which is too small is refused before the first write.
    """

    key: str = "first"
    disk: DiskWish = DiskWish()
    attempts: int = 3
    autonomous_after_s: int | None = None
    tells_size: bool = True
    up_deadline_s: int = 600
    done_deadline_s: int = 3600
    kernel_arguments: str = ""


def install_files(
    machine: Machine, kernel: StoredArtifact, initrd: StoredArtifact, image: StoredArtifact, wish: InstallWish
) -> dict[str, str]:
    """Relative path -> text: boards of this machine's architecture install the image `wish.key` wants."""
    return {
        f"profiles/{PROFILE}.toml": _profile(machine, kernel, initrd, image, wish),
        f"rules/{PROFILE}.toml": _rule(wish, machine),
    }


def _profile(machine: Machine, kernel: StoredArtifact, initrd: StoredArtifact, image: StoredArtifact, wish: InstallWish) -> str:
    autonomous = "" if wish.autonomous_after_s is None else f"autonomous_after_s = {wish.autonomous_after_s}\n"
    unpacked = f"unpacked_size = {image.unpacked_bytes}\n" if wish.tells_size else ""
    arguments = f"kernel_arguments = {_text(wish.kernel_arguments)}\n" if wish.kernel_arguments else ""
    return f"""\
# Puts a root file system on the board's disk, which the board starts from then on.
arch = "{machine.arch}"
expects = "installed"
writes_disk = true
attempts = {wish.attempts}
payload_up_deadline_s = {wish.up_deadline_s}
done_deadline_s = {wish.done_deadline_s}
command_line = "{" ".join(("rootfstype=ramfs", *machine.payload_arguments))}"

[kernel]
name = "{kernel.name}"
sha256 = "{kernel.sha256}"

[[initrd]]
name = "{initrd.name}"
sha256 = "{initrd.sha256}"
unpacked_size = {initrd.unpacked_bytes}

[dtb]
policy = "running"

[install]
console = "{machine.console}"
{autonomous}{arguments}
[install.image]
kind = "tar"
name = "{image.name}"
sha256 = "{image.sha256}"
{unpacked}
[install.disk]
{wish.disk.to_toml()}
"""


def _rule(wish: InstallWish, machine: Machine) -> str:
    return f"""\
# Every {machine.arch} board that was approved installs this once; another key, and only that, installs it anew.
priority = 10
profile = "{PROFILE}"
install = "{wish.key}"

[match]
arch = ["{machine.arch}"]
"""


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
