"""Descriptions of root file systems: what is taken, and how what is wrong is named."""

import subprocess
from pathlib import Path

import pytest

from initramfs.errors import BuildError
from scripts.rootfs.customising import customising_script
from scripts.rootfs.description import Description, Method, built_in_names, parse_description, read_description
from scripts.rootfs.early_drivers import initramfs_settings

KEY = "ssh-ed25519 " + "A" * 68 + " irina"


def parse(folder: Path, **values: object) -> Description:
    return parse_description(values, folder / "board.toml")


def test_the_built_in_ones_can_be_read() -> None:
    assert set(built_in_names()) == {"lamp", "minimal"}
    lamp, minimal = read_description("lamp"), read_description("minimal")
    assert (lamp.method, lamp.release, minimal.method) == (Method.INSTALLED, "trixie", Method.UNPACKED)
    assert "mariadb-server" in lamp.packages
    assert all(folder.is_dir() for folder in (*lamp.overlays, *minimal.overlays))


def test_an_empty_one_is_a_bare_debian_of_the_architecture_s_release(tmp_path: Path) -> None:
    described = parse(tmp_path)
    assert (described.name, described.method, described.release, described.packages) == ("board", Method.INSTALLED, "", ())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"release": "trixe"}, "release is 'trixe', expected a Debian release"),
        ({"method": "copied"}, "method is 'copied', expected one of installed, unpacked"),
        ({"packages": "curl"}, "packages is 'curl', expected a list"),
        ({"packages": ["curl", "--purge"]}, "packages is '--purge', expected names of Debian packages"),
        ({"packages": ["a,b"]}, "packages is 'a,b'"),
        ({"drivers": ["disk"]}, "drivers is 'disk', expected groups of initramfs/drivers.py"),
        ({"exclude": ["usr/share/man"]}, "exclude is 'usr/share/man', expected paths from the root"),
        ({"overlays": ["nowhere"]}, "overlays names 'nowhere', which is no folder beside the file"),
        ({"enable": ["ssh; reboot"]}, "enable is 'ssh; reboot', expected names of systemd's units"),
        ({"hostname": "two words"}, "hostname is 'two words', expected letters"),
        ({"min_disk_mib": "1G"}, "min_disk_mib is '1G', expected a number"),
        ({"min_disk_mib": True}, "min_disk_mib is True, expected a number"),
        ({"package": ["curl"]}, "package is no key of a description"),
        ({"user": {"name": "irina"}}, "expected tables [[user]]"),
        ({"user": [{"name": "Irina"}]}, "user[0]: name is 'Irina', expected a user's name"),
        ({"user": [{"name": "irina", "shell": "/bin/sh"}]}, "user[0]: shell is no key"),
        ({"user": [{"name": "irina", "ssh_keys": ["AAAA"]}]}, "user[0]: ssh_keys is 'AAAA', expected public keys"),
        ({"method": "unpacked", "commands": ["true"]}, 'commands needs method = "installed"'),
        ({"method": "unpacked", "user": [{"name": "irina"}]}, 'user needs method = "installed"'),
    ],
)
def test_what_is_wrong_is_named_with_what_is_expected(tmp_path: Path, values: dict[str, object], said: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse(tmp_path, **values)
    assert said in str(caught.value)
    assert "board.toml" in str(caught.value)


def test_a_password_in_clear_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not a hash") as caught:
        parse(tmp_path, user=[{"name": "irina", "password": "secret"}])
    assert "secret" not in str(caught.value)


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(BuildError, match="there is no description 'lamb'") as caught:
        read_description("lamb")
    assert "lamp, minimal" in caught.value.hint


def test_a_file_that_is_no_toml_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("release = \n")
    with pytest.raises(BuildError, match=r"mine\.toml: .*line 1"):
        read_description(str(file))


def test_no_text_of_a_description_is_taken_for_shell(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    user = {"name": "irina", "password": "$6$salt$hash", "groups": ["sudo"], "ssh_keys": [f"{KEY}'; touch {marker}; '"]}
    for name in ("etc/dpkg/dpkg.cfg.d", "etc/apt"):
        (tmp_path / "root" / name).mkdir(parents=True)
    script = customising_script(parse(tmp_path, hostname="board-7", user=[user]), f"deb http://m.example/'; touch {marker}\n")
    # Commands for the chroot are given to a shell inside of it; here nothing but that shell is left out.
    chroot = 'chroot() { shift 5; shift "$(($# - 1))"; sh -euc "$1"; }\n'
    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name in ("useradd", "usermod", "install"):
        (stubs / name).write_text("#!/bin/sh\n")
        (stubs / name).chmod(0o755)
    home = script.replace(f"/home/{user['name']}/.ssh", str(tmp_path))
    argv = ["sh", "-c", chroot + home, "sh", str(tmp_path / "root")]
    subprocess.run(argv, env={"PATH": f"{stubs}:/usr/bin:/bin"}, check=True, timeout=60)
    assert not marker.exists()
    assert (tmp_path / "authorized_keys").read_text() == f"{KEY}'; touch {marker}; '\n"
    assert (tmp_path / "root/etc/hostname").read_text() == "board-7\n"


def test_the_initrd_carries_the_drivers_of_the_groups_named() -> None:
    settings, hook = initramfs_settings(["disks", "meson"])
    assert settings.content == b"MODULES=list\nCOMPRESS=zstd\n"
    text = hook.content.decode()
    assert hook.executable
    assert " ahci " in text
    assert "kernel/drivers/phy/amlogic" in text
    assert "virtio_blk" not in text
