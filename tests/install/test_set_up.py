"""What the installer makes of an image for one board, and that a hostile /etc leads nowhere."""

import contextlib
import json
import subprocess
from pathlib import Path

import pytest

from bootpilot_agent.fields import Json
from bootpilot_agent.install_order import FileSystem
from bootpilot_agent.install_system import UserOrder
from bootpilot_install import system_texts
from bootpilot_install.accounts import AccountFiles
from bootpilot_install.errors import SetupError
from bootpilot_install.mount_table import MountRow
from bootpilot_install.network_texts import Address, Program, network_files
from bootpilot_install.tree import Tree
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.install_orders import install_order
from tests.fakes.installing_machine import InstallingMachine, MountedPartition
from tests.fakes.root_archives import Archive, small_system

MAC = "52:54:00:12:34:56"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHdCmIk9Fq0f6cXhEXAMPLEEXAMPLEEXAMPLEEXAMPLE irina@desk"
HASH = "$6$salt$abcdefghijklmnop"


def installed(machine: InstallingMachine, server: FakeBootServer, system: Archive, **more: Json) -> MountedPartition:
    disk = machine.add_disk()
    image: dict[str, Json] = {"kind": "tar", "compression": "none", "artifact": server.artifact(system.bytes())}
    partitions = more.pop("partitions", None)
    order = install_order(image, system=more)
    order["partitions"] = partitions or order["partitions"]
    assert machine.install(order) == "kexec -e", machine.console
    return MountedPartition(disk, 2, machine.folder / "look")


def test_everything_that_an_order_says_is_in_the_system(machine: InstallingMachine, server: FakeBootServer) -> None:
    users: list[Json] = [
        {"name": "irina", "password": HASH, "ssh_keys": [KEY], "sudo": True},
        {"name": "root", "password": "!", "ssh_keys": [KEY], "sudo": False},
    ]
    with installed(
        machine,
        server,
        small_system().folder("./etc/skel").file("./etc/skel/.profile", "x"),
        users=users,
        console="ttyAMA0,115200",
        kernel_arguments="quiet panic=10",
        first_boot="echo once\n",
        user_data="#cloud-config\n{}\n",
    ) as root:
        etc = root / "etc"
        assert (etc / "kernel/cmdline").read_text().endswith(" ro console=ttyAMA0,115200 quiet panic=10\n")
        assert (etc / "passwd").read_text().splitlines()[-1] == "irina:x:1000:1000::/home/irina:/bin/sh"
        assert f"irina:{HASH}:" in (etc / "shadow").read_text()
        assert ((etc / "shadow").stat().st_mode & 0o7777, (etc / "shadow").stat().st_gid) == (0o640, 42)
        assert "sudo:x:27:irina\n" in (etc / "group").read_text()
        keys = root / "home/irina/.ssh/authorized_keys"
        assert (keys.read_text(), keys.stat().st_uid, keys.stat().st_mode & 0o7777) == (KEY + "\n", 1000, 0o600)
        assert (root / "home/irina/.profile").stat().st_uid == 1000
        assert (root / "root/.ssh/authorized_keys").read_text() == KEY + "\n"
        assert (root / "var/lib/cloud/seed/nocloud/user-data").read_text() == "#cloud-config\n{}\n"
        assert (root / "var/lib/bootpilot/first-boot").read_text() == "#!/bin/sh\necho once\n"
        wanted = sorted(path.name for path in (etc / "systemd/system/multi-user.target.wants").iterdir())
        assert wanted == ["bootpilot-first-boot.service", "bootpilot-report.service", "systemd-networkd.service"]
        assert (root / "usr/lib/bootpilot/bootpilot-report").stat().st_mode & 0o777 == 0o755
        assert (etc / "initramfs-tools/scripts/init-bottom/bootpilot").stat().st_mode & 0o777 == 0o755
        assert f"MACAddress={MAC}" in (etc / "systemd/network/10-bootpilot.network").read_text()
        assert (root / "dev").is_dir()


def test_without_a_report_there_is_none_of_it(machine: InstallingMachine, server: FakeBootServer) -> None:
    with installed(machine, server, small_system(), report=False) as root:
        assert not (root / "usr/lib/bootpilot").exists()


def test_several_partitions_are_mounted_where_they_belong(machine: InstallingMachine, server: FakeBootServer) -> None:
    partitions: list[Json] = [
        {"mount": "/", "fs": "ext4", "size_mib": 100, "label": "root"},
        {"mount": "", "fs": "swap", "size_mib": 16, "label": ""},
        {"mount": "/var", "fs": "ext4", "size_mib": 0, "label": "var"},
    ]
    system = small_system().file("./var/big", b"x" * 5_000_000)
    with installed(machine, server, system, partitions=partitions) as root:
        assert list((root / "var").iterdir()) == []
        lines = (root / "etc/fstab").read_text().splitlines()[1:]
        assert [line.split()[1:3] for line in lines] == [["/", "ext4"], ["/var", "ext4"], ["none", "swap"]]
    with MountedPartition(machine.folder / "sda.img", 4, machine.folder / "look") as var:
        assert (var / "big").stat().st_size == 5_000_000


HOSTILE = {
    "etc itself": Archive().folder("./etc2").link("./etc", "../../outside"),
    "a file": small_system().link("./etc/hostname", "/outside/hostname"),
    "a folder": small_system().link("./etc/kernel", "../../../../../../outside"),
    "a home": small_system().link("./home/irina", "/outside"),
    "systemd": Archive().folder("./etc").folder("./usr").link("./etc/systemd", "../../../outside").folder("./bin"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_image_makes_nothing_land_outside(tmp_path: Path, case: str) -> None:
    target, outside = tmp_path / "target", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    subprocess.run(["tar", "-C", str(target), "-x", "-P"], input=HOSTILE[case].bytes(), check=True)
    with Tree(target) as tree:
        for path in ("etc/hostname", "etc/kernel/cmdline", "home/irina/.ssh/authorized_keys", "etc/systemd/system/x.service"):
            with contextlib.suppress(SetupError):
                tree.write(path, "x")
                tree.make_folder(path + ".d", 0o700)
    assert list(outside.iterdir()) == []


def test_a_link_counts_from_the_systems_own_root(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("/usr/lib")
    (tmp_path / "usr/lib/os-release").write_text("ID=x\n")
    (tmp_path / "os-release").symlink_to("lib/os-release")
    with Tree(tmp_path) as tree:
        assert tree.read_text("os-release") == "ID=x\n"
        assert tree.has("lib/os-release")
        tree.write("lib/bootpilot/x", "y")
    assert (tmp_path / "usr/lib/bootpilot/x").read_text() == "y"


def test_fstab_keeps_what_is_on_no_disk() -> None:
    old = "# c\nUUID=1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs size=1G 0 0\nnas:/x /srv nfs4 ro 0 0\n/dev/sda2 none swap sw 0 0\n"
    rows = [MountRow("aa-1", "/", FileSystem.EXT4), MountRow("aa-2", "/boot/efi", FileSystem.VFAT)]
    assert system_texts.fstab_text(old, rows).splitlines()[1:] == [
        "PARTUUID=aa-1 / ext4 errors=remount-ro 0 1",
        "PARTUUID=aa-2 /boot/efi vfat umask=0077 0 2",
        "tmpfs /tmp tmpfs size=1G 0 0",
        "nas:/x /srv nfs4 ro 0 0",
    ]


def test_the_loaders_consoles_are_the_systems() -> None:
    line = "console=tty0 root=/dev/ram0 console=ttyS0,115200 console=tty0 quiet"
    assert system_texts.consoles("", line) == ("tty0", "ttyS0,115200")
    assert system_texts.consoles("ttyAMA0", line) == ("ttyAMA0",)


def test_a_login_on_the_serial_console_is_added_once() -> None:
    once = system_texts.inittab_text("1:2345:respawn:/sbin/getty 38400 tty1\n", ["tty0", "ttyAMA0,9600"])
    assert once.splitlines()[-1] == "AMA0:2345:respawn:/sbin/getty -L ttyAMA0 9600 vt100"
    assert system_texts.inittab_text(once, ["tty0", "ttyAMA0,9600"]) == once


def test_a_user_that_the_image_has_gets_password_and_keys_only() -> None:
    files = AccountFiles("pi:x:1000:1000:Pi:/home/pi:/bin/bash\n", "pi:x:1000:\n", "pi:old:1::::::\n", "pi:!::\n")
    home = files.add(UserOrder("pi", HASH, sudo=True), "bin/sh")
    assert (home.path, home.uid) == ("home/pi", 1000)
    assert files.passwd == "pi:x:1000:1000:Pi:/home/pi:/bin/bash\n"
    assert files.shadow.startswith(f"pi:{HASH}:")
    assert files.group == "pi:x:1000:\nsudo:x:1001:pi\n"
    again = AccountFiles(**vars(files))
    again.add(UserOrder("pi", HASH, sudo=True), "bin/sh")
    assert again == files


STATIC = Address(MAC, "00534e31", "192.0.2.5/24", "192.0.2.1", ("192.0.2.53",))
DYNAMIC = Address(MAC, "00534e31")


@pytest.mark.parametrize("program", Program)
def test_each_program_is_told_the_mac_and_the_address(program: Program) -> None:
    for address, words in ((STATIC, ["192.0.2.5/24", "192.0.2.1", "192.0.2.53"]), (DYNAMIC, [])):
        made = network_files(program, address)
        text = "".join(text for text, _ in made.files.values())
        assert all(word in text for word in [MAC, *words]), text


@pytest.mark.parametrize("program", Program)
def test_each_program_can_do_vlans(program: Program) -> None:
    made = network_files(program, Address(MAC, vlan=7))
    text = "".join(text for text, _ in made.files.values())
    assert any(word in text for word in ("vlan7", "$IFACE.7")), text


def test_the_loaders_client_id_goes_on_where_it_can_be_sent() -> None:
    made = network_files(Program.IFUPDOWN, DYNAMIC)
    assert "send dhcp-client-identifier 00:53:4e:31;" in made.appended["etc/dhcp/dhclient.conf"]
    text = network_files(Program.NETWORK_MANAGER, DYNAMIC).files["etc/NetworkManager/system-connections/bootpilot.nmconnection"]
    assert "dhcp-client-id=00:53:4e:31" in text[0]
    assert text[1] == 0o600
    assert "may give the system another address" in network_files(Program.NETWORKD, DYNAMIC).warning
    assert network_files(Program.NETWORKD, Address(MAC, "01525400123456")).warning == ""


def test_netplan_reads_what_is_written() -> None:
    text, _ = network_files(Program.NETPLAN, STATIC).files["etc/netplan/10-bootpilot.yaml"]
    network = json.loads(text.partition("\n")[2])["network"]
    assert network["ethernets"]["lan"]["match"] == {"macaddress": MAC}
    assert network["ethernets"]["lan"]["addresses"] == ["192.0.2.5/24"]
