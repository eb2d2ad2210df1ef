"""Makes an installed image this board's own system: its names, disks, network, people, consoles, first boot, report.

Everything is written through `Tree`, which no link of the image leads out of. Each step can be done again with the same result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootpilot_agent.devices import Run
from bootpilot_agent.install_order import FileSystem, ImageKind, InstallOrder
from bootpilot_agent.install_system import Addressing, UserOrder
from bootpilot_install import chroot, network_texts, system_texts
from bootpilot_install.accounts import SHELLS, AccountFiles
from bootpilot_install.board_note import BoardNote
from bootpilot_install.mount_table import MountRow
from bootpilot_install.mounts import Part
from bootpilot_install.network_texts import Address, Program
from bootpilot_install.report_hook import install_first_boot, install_report
from bootpilot_install.tree import Tree

RESOLVERS = ("usr/lib/systemd/systemd-resolved", "lib/systemd/systemd-resolved", "sbin/resolvconf", "usr/sbin/resolvconf")
SYSTEMD = ("usr/lib/systemd/systemd", "lib/systemd/systemd")
MOUNT_POINTS = {"dev": 0o755, "proc": 0o555, "sys": 0o555, "run": 0o755, "tmp": 0o1777}
NOCLOUD = "var/lib/cloud/seed/nocloud"


@dataclass(frozen=True)
class Facts:
    """What the set-up knows. `loader_line` is the installer's own kernel command line."""

    order: InstallOrder
    note: BoardNote
    parts: tuple[Part, ...]
    loader_line: str
    target: Path


def set_up_system(facts: Facts, run: Run, say: Callable[[str], None]) -> None:
    """Raises SetupError. What can only be done by the system's own programs, and fails there, is said and left."""
    with Tree(facts.target) as tree:
        make_mount_points(tree)
        set_names(tree, facts)
        set_mounts(tree, facts)
        set_network(tree, facts, say)
        set_users(tree, facts)
        forget_identity(tree)
        set_consoles(tree, facts)
        set_cloud_seed(tree, facts, say)
        install_first_boot(tree, facts.order.system.first_boot, say)
        install_report(tree, facts.order.system.report, say)
        lacks_initrd = has_kernel_without_initrd(tree)
        new_host_keys = forget_host_keys(tree)
        has_programs = tree.has("bin/sh")
    if has_programs:
        system = chroot.Chroot(facts.target, run, say)
        if new_host_keys:
            system.make_host_keys()
        if lacks_initrd:
            system.make_initrds()


def make_mount_points(tree: Tree) -> None:
    """An archive may leave out what is empty; without /dev, or /proc, no system starts."""
    for name, mode in MOUNT_POINTS.items():
        if not tree.has(name):
            tree.make_folder(name, mode)


def set_names(tree: Tree, facts: Facts) -> None:
    name = facts.order.system.hostname
    tree.write("etc/hostname", system_texts.hostname_text(name))
    tree.write("etc/hosts", system_texts.hosts_text(tree.read_text("etc/hosts"), name))


def set_mounts(tree: Tree, facts: Facts) -> None:
    """A disk image knows its own partitions."""
    if facts.order.image.kind is ImageKind.DISK:
        return
    rows = [MountRow(part.partuuid, part.order.mount, part.order.file_system) for part in facts.parts if part.order]
    rows.sort(key=lambda row: (row.file_system is FileSystem.SWAP, row.mount))
    tree.write("etc/fstab", system_texts.fstab_text(tree.read_text("etc/fstab"), rows))


def set_network(tree: Tree, facts: Facts, say: Callable[[str], None]) -> None:
    note, system = facts.note, facts.order.system
    program = next((name for name, paths in network_texts.TOLD_BY.items() if any(tree.has(path) for path in paths)), None)
    if program is None:
        say("network: the image has no program that is known to bring it up; it is left as it is")
        return
    static = system.addressing is Addressing.STATIC
    address = Address(
        mac=note.mac,
        client_id=note.client_id,
        address=system.address if static else "",
        gateway=system.gateway if static else "",
        dns=system.dns,
        vlan=note.vlan,
    )
    made = network_texts.network_files(program, address)
    for path, (text, mode) in made.files.items():
        tree.write(path, text, mode)
    for path, target in made.links.items():
        tree.link(path, target)
    for path, text in made.appended.items():
        if tree.has(path) or (path.startswith("etc/dhcp/") and tree.has("etc/dhcp")):
            _append_once(tree, path, text)
    if made.warning:
        say(f"network: {made.warning}")
    names = system.dns or note.dns
    alone = program in (Program.NETWORKD, Program.IFUPDOWN) and not any(tree.has(path) for path in RESOLVERS)
    if names and alone and (static or program is Program.NETWORKD):
        tree.write("etc/resolv.conf", network_texts.resolv_conf(names))
    say(f"network: {program}, {system.address if static else 'DHCP'} on {note.mac}")


def _append_once(tree: Tree, path: str, text: str) -> None:
    old = tree.read_text(path)
    if text not in old:
        tree.write(path, (old.rstrip("\n") + "\n" if old else "") + text)


def set_users(tree: Tree, facts: Facts) -> None:
    users = facts.order.system.users
    if not users:
        return
    names = ("passwd", "group", "shadow", "gshadow")
    files = AccountFiles(**{name: tree.read_text(f"etc/{name}") for name in names})
    shell = next((path for path in SHELLS if tree.has(path)), SHELLS[-1])
    homes = [(user, files.add(user, shell)) for user in users]
    tree.write("etc/passwd", files.passwd)
    tree.write("etc/group", files.group)
    tree.write("etc/shadow", files.shadow, 0o640, gid=_shadow_group(files.group))
    if files.gshadow:
        tree.write("etc/gshadow", files.gshadow, 0o640, gid=_shadow_group(files.group))
    for user, home in homes:
        _make_home(tree, user, home.path, home.uid, home.gid)
    if any(user.sudo for user in users) and tree.has("etc/sudoers.d") and "%sudo" not in tree.read_text("etc/sudoers"):
        tree.write("etc/sudoers.d/bootpilot", "%sudo ALL=(ALL:ALL) ALL\n", 0o440)


def _shadow_group(group: str) -> int:
    """root's, where there is no group shadow."""
    rows = (line.split(":") for line in group.splitlines())
    return next((int(row[2]) for row in rows if row[0] == "shadow" and len(row) > 2 and row[2].isdigit()), 0)


def _make_home(tree: Tree, user: UserOrder, home: str, uid: int, gid: int) -> None:
    if not tree.has(home):
        tree.make_folder(home, 0o750, uid=uid, gid=gid)
        for name in tree.names("etc/skel"):
            tree.write(f"{home}/{name}", tree.read_text(f"etc/skel/{name}"), uid=uid, gid=gid)
    if user.ssh_keys:
        tree.make_folder(f"{home}/.ssh", 0o700, uid=uid, gid=gid)
        old = tree.read_text(f"{home}/.ssh/authorized_keys").splitlines()
        keys = [*old, *(key for key in user.ssh_keys if key not in old), ""]
        tree.write(f"{home}/.ssh/authorized_keys", "\n".join(keys), 0o600, uid=uid, gid=gid)


def forget_identity(tree: Tree) -> None:
    """What one machine has for itself, and every copy of an image would share: machine-id(5), random-seed.service(8)."""
    if tree.is_link("etc/machine-id") or tree.has("etc/machine-id") or any(tree.has(path) for path in SYSTEMD):
        tree.write("etc/machine-id", "uninitialized\n", 0o444)
    for path in ("var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret"):
        if tree.has(path) and not tree.is_link(path):
            tree.remove(path)


def forget_host_keys(tree: Tree) -> bool:
    """True if the system wants new ones: it has what makes them."""
    for name in tree.names("etc/ssh"):
        if name.startswith("ssh_host_") and "_key" in name:
            tree.remove(f"etc/ssh/{name}")
    return tree.has("etc/ssh") and tree.has("usr/bin/ssh-keygen")


def has_kernel_without_initrd(tree: Tree) -> bool:
    """Of a Debian-like system: an image that was unpacked and never configured has none."""
    names = tree.names("boot")
    versions = [name.removeprefix("vmlinuz-") for name in names if name.startswith("vmlinuz-")]
    return tree.has("usr/sbin/update-initramfs") and any(f"initrd.img-{version}" not in names for version in versions)


def set_consoles(tree: Tree, facts: Facts) -> None:
    """The kernel's command line for those who start this system; of a disk image only where it has none of its own."""
    values = system_texts.consoles(facts.order.system.console, facts.loader_line)
    if facts.order.image.kind is not ImageKind.DISK or not tree.has("etc/kernel/cmdline"):
        root = next(part for part in facts.parts if part.mount == "/")
        line = system_texts.kernel_line(root.partuuid, values, facts.order.system.kernel_arguments)
        tree.write("etc/kernel/cmdline", line)
    if tree.has("etc/inittab"):
        tree.write("etc/inittab", system_texts.inittab_text(tree.read_text("etc/inittab"), values))


def set_cloud_seed(tree: Tree, facts: Facts, say: Callable[[str], None]) -> None:
    """cloud-init's NoCloud: user-data as ordered, and an instance id that changes with each install."""
    system = facts.order.system
    if not system.user_data:
        return
    if not tree.has("usr/bin/cloud-init"):
        say("cloud-init: the order has user_data, and the image no cloud-init; it is left there all the same")
    tree.write(f"{NOCLOUD}/meta-data", f"instance-id: {facts.note.install_id}\nlocal-hostname: {system.hostname}\n", 0o600)
    tree.write(f"{NOCLOUD}/user-data", system.user_data, 0o600)
    tree.write("etc/cloud/cloud.cfg.d/99-bootpilot.cfg", "datasource_list: [NoCloud, None]\n")
