"""The small files that name a system and its disks: hostname, hosts, fstab, the kernel's command line. No I/O here."""

import re
from collections.abc import Sequence

from bootpilot_agent.install_order import FileSystem
from bootpilot_agent.kernel_command_line import split_command_line
from bootpilot_install.mount_table import MountRow

HEADING = "# by bootpilot-install\n"
# What an image's own fstab may keep: they are on no disk of the machine that the image was made on.
PSEUDO = frozenset({"proc", "sysfs", "tmpfs", "devpts", "devtmpfs", "cgroup2", "debugfs", "binfmt_misc", "nfs", "nfs4", "cifs"})


def hostname_text(name: str) -> str:
    """/etc/hostname holds the first label; the rest is the domain's (hostname(5), hosts(5))."""
    return name.partition(".")[0] + "\n"


def hosts_text(old: str, name: str) -> str:
    """The image's /etc/hosts with this name for 127.0.1.1, as Debian has it for machines without a fixed address."""
    kept = [line for line in old.splitlines() if line.split()[:1] not in (["127.0.1.1"], ["127.0.0.1"])]
    short = name.partition(".")[0]
    names = f"{name}\t{short}" if name != short else name
    return "\n".join(["127.0.0.1\tlocalhost", f"127.0.1.1\t{names}", *kept, ""])


def fstab_text(old: str, rows: Sequence[MountRow]) -> str:
    """The disk's own file systems by PARTUUID, and what the image mounts that is on no disk."""
    mounts = {row.mount for row in rows}
    kept = [line for line in old.splitlines() if _is_pseudo(line.split(), mounts)]
    return HEADING + "".join(_fstab_line(row) for row in rows) + "".join(f"{line}\n" for line in kept)


def _fstab_line(row: MountRow) -> str:
    source = f"PARTUUID={row.partuuid}"
    if row.file_system is FileSystem.SWAP:
        return f"{source} none swap sw 0 0\n"
    options = "umask=0077" if row.file_system is FileSystem.VFAT else "errors=remount-ro" if row.mount == "/" else "defaults"
    return f"{source} {row.mount} {row.file_system} {options} 0 {1 if row.mount == '/' else 2}\n"


def _is_pseudo(words: list[str], mounts: set[str]) -> bool:
    return len(words) >= 4 and not words[0].startswith("#") and words[2] in PSEUDO and words[1] not in mounts


def consoles(ordered: str, loader_line: str) -> tuple[str, ...]:
    """console= values: the ordered one, else all that the loader handed to this installer; the last becomes /dev/console."""
    if ordered:
        return (ordered,)
    return tuple(dict.fromkeys(value for word, value in split_command_line(loader_line) if word == "console" and value))


def kernel_line(root_partuuid: str, console_values: Sequence[str], arguments: str) -> str:
    """/etc/kernel/cmdline: what the agent, and kernel-install, start this system with."""
    words = [f"root=PARTUUID={root_partuuid}", "ro", *(f"console={value}" for value in console_values), *arguments.split()]
    return " ".join(words) + "\n"


def inittab_text(old: str, console_values: Sequence[str]) -> str:
    """A login on each serial console, where init reads /etc/inittab (sysvinit); systemd makes its own from the command line."""
    text = old
    for value in console_values:
        terminal, _, rate = value.partition(",")
        speed = re.match(r"\d+", rate)
        if re.fullmatch(r"tty[A-Za-z]+\d+", terminal) and not re.search(rf"^[^#\n]*\b{terminal}\b", text, re.MULTILINE):
            text = (
                text.rstrip("\n")
                + f"\n{terminal[-4:]}:2345:respawn:/sbin/getty -L {terminal} {speed[0] if speed else 115200} vt100\n"
            )
    return text
