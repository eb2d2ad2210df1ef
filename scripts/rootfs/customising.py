"""The shell script that turns a freshly installed Debian into the described system. Pure: description in, text out."""

import shlex
from collections.abc import Iterable

from scripts.rootfs.description import Description, User
from scripts.rootfs.overlay_archive import OverlayFile

# The keys that the package made must not be the same on every board: none are in the image, and each board makes its own.
HOST_KEYS_DROP_IN = OverlayFile(
    "etc/systemd/system/ssh.service.d/host-keys.conf",
    b"[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n",
)
SETTINGS_FILE = "etc/dpkg/dpkg.cfg.d/bootpilot-rootfs"
SOURCES_FILE = "etc/apt/sources.list"


def kept_settings(exclude: Iterable[str]) -> list[str]:
    """dpkg's settings that stay in the system, so that what was left out does not come back with an update."""
    return [f"path-exclude={pattern}" for pattern in exclude]


def customising_script(described: Description, sources: str) -> str:
    """Run outside of the chroot with its folder as $1, once all packages are configured. `sources`: where updates come from."""
    lines = [
        "set -eu",
        'inside() { chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 sh -euc "$2"; }',
    ]
    if described.hostname:
        lines += [_write("etc/hostname", described.hostname + "\n"), _write("etc/hosts", _hosts(described.hostname))]
    lines += [line for user in described.users for line in _user_lines(user)]
    lines += [_inside(f"systemctl enable {shlex.join(described.enable)}")] if described.enable else []
    lines += [_inside(command) for command in described.commands]
    lines += [
        'rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub',
        # mmdebstrap's own settings; what is to stay of them is written anew.
        'rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/apt/sources.list.d/*',
        'rm -rf "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1"/var/log/*.log',
        _write(SETTINGS_FILE, "".join(f"{line}\n" for line in kept_settings(described.exclude))),
        _write(SOURCES_FILE, sources),
    ]
    return "\n".join(lines) + "\n"


def _user_lines(user: User) -> list[str]:
    home = f"/home/{user.name}"
    lines = [_inside(f"useradd --create-home --shell /bin/bash --password {shlex.quote(user.password)} {user.name}")]
    if user.groups:
        lines.append(_inside(f"usermod --append --groups {','.join(user.groups)} {user.name}"))
    if user.ssh_keys:
        keys = shlex.quote("".join(f"{key}\n" for key in user.ssh_keys))
        owner = f"-o {user.name} -g {user.name}"
        lines.append(
            _inside(f"install -d -m 700 {owner} {home}/.ssh && install -m 600 {owner} /dev/null {home}/.ssh/authorized_keys")
        )
        lines.append(_inside(f"printf %s {keys} >{home}/.ssh/authorized_keys"))
    return lines


def _inside(command: str) -> str:
    return f'inside "$1" {shlex.quote(command)}'


def _write(name: str, text: str) -> str:
    return f'rm -f "$1"/{name} && printf %s {shlex.quote(text)} >"$1"/{name} && chmod 644 "$1"/{name}'


def _hosts(hostname: str) -> str:
    short = hostname.partition(".")[0]
    names = hostname if short == hostname else f"{hostname} {short}"
    return f"127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n"
