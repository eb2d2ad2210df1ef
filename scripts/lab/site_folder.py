"""The folder that tells a boot server what the simulated boards run: one profile and one rule per architecture. No I/O here."""

from dataclasses import dataclass

from scripts.lab.machine import Machine

PROFILE = "ram-page"


@dataclass(frozen=True)
class StoredArtifact:
    """A file that the server has taken in."""

    sha256: str
    name: str
    unpacked_bytes: int = 0


def site_files(
    machine: Machine,
    kernel: StoredArtifact,
    initrd: StoredArtifact,
    tree: StoredArtifact | None = None,
    policy: str = "file",
    *,
    record: bool = False,
) -> dict[str, str]:
    """Relative path -> text: boards of this machine's architecture are admitted and run the RAM workload.

    With `tree` as its device tree (by this policy), or else with the one that the loader runs with. `record`: each boot's
    recording is wanted.
    """
    name = f"{PROFILE}-{machine.arch}"
    dtb = f'policy = "{policy}"\nname = "{tree.name}"\nsha256 = "{tree.sha256}"' if tree else 'policy = "running"'
    return {
        f"profiles/{name}.toml": _profile(machine, kernel, initrd, dtb, record=record),
        f"rules/{name}.toml": _rule(machine, name),
    }


def _profile(machine: Machine, kernel: StoredArtifact, initrd: StoredArtifact, dtb: str, *, record: bool) -> str:
    wish = "record = true\n" if record else ""
    return f"""\
# Runs from memory and serves a page about the board it runs on.
arch = "{machine.arch}"
expects = "payload-up"
command_line = "{" ".join(machine.payload_arguments)}"
{wish}
[kernel]
name = "{kernel.name}"
sha256 = "{kernel.sha256}"

[[initrd]]
name = "{initrd.name}"
sha256 = "{initrd.sha256}"
unpacked_size = {initrd.unpacked_bytes}

[dtb]
{dtb}
"""


def _rule(machine: Machine, profile: str) -> str:
    return f"""\
# Every {machine.arch} board is let in. A real site approves its boards: see the server's README.
priority = 10
profile = "{profile}"
admit = true

[match]
arch = ["{machine.arch}"]
"""
