"""QEMU's command line is a value that follows from the description of a board."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lab.device_tree import fdtput_argvs
from scripts.lab.guest import CardBoot, DeadNet, DirectBoot, Guest, Identity, Nic, SwitchedNet, UserNet
from scripts.lab.machines import BY_BOARD, MACHINES, NOT_SIMULATED
from scripts.lab.qemu_argv import dumpdtb_argv, qemu_argv
from scripts.lab.qemu_versions import read_version
from scripts.sdcard.boards import BOARDS, ROWS

FOLDER = Path("/run/bp")
IDENTITY = Identity(serial="BP0123456789", uuid="82cf9931-bde0-4724-b837-c3127ff95089", mac="52:54:00:49:c4:cf")
PC = Guest(
    machine=MACHINES["amd64"],
    identity=IDENTITY,
    boot=DirectBoot(Path("vmlinuz"), Path("initrd"), "console=ttyS0 panic=10"),
    nics=(Nic(IDENTITY.mac, UserNet(8080)),),
    folder=FOLDER,
)
BOARD = replace(
    PC,
    machine=MACHINES["arm64"],
    boot=CardBoot(Path("card.img"), Path("board.dtb")),
    nics=(Nic("52:54:00:00:00:01", DeadNet()), Nic(IDENTITY.mac, UserNet(8080))),
)


def words(text: str) -> list[str]:
    return text.split()


def test_a_pc_shows_who_it_is_by_dmi_and_gets_its_loader_from_qemu() -> None:
    assert qemu_argv(PC) == [
        *words("qemu-system-x86_64 -machine q35 -accel tcg -cpu qemu64,+rdrand -smp 2 -m 1024"),
        *words("-nodefaults -no-user-config -display none -action reboot=shutdown"),
        *words("-chardev stdio,id=console,signal=off -serial chardev:console -qmp unix:/run/bp/qmp,server=on,wait=off"),
        *words("-device virtio-serial-pci -chardev file,id=verdict,path=/run/bp/verdict"),
        *words("-device virtserialport,chardev=verdict,name=org.bootpilot.verdict"),
        *["-kernel", "vmlinuz", "-initrd", "initrd", "-append", "console=ttyS0 panic=10"],
        *words("-uuid 82cf9931-bde0-4724-b837-c3127ff95089 -smbios type=1,serial=BP0123456789"),
        *words("-netdev user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80"),
        *words("-device virtio-net-pci,netdev=net0,mac=52:54:00:49:c4:cf,romfile="),
    ]


def test_an_arm_board_boots_its_card_by_its_firmware_and_has_a_dead_cable_first() -> None:
    assert qemu_argv(BOARD) == [
        *words("qemu-system-aarch64 -machine virt -accel tcg -cpu cortex-a57 -smp 2 -m 1024"),
        *words("-bios /usr/lib/u-boot/qemu_arm64/u-boot.bin"),
        *words("-nodefaults -no-user-config -display none -action reboot=shutdown"),
        *words("-chardev stdio,id=console,signal=off -serial chardev:console -qmp unix:/run/bp/qmp,server=on,wait=off"),
        *words("-device virtio-serial-device -chardev file,id=verdict,path=/run/bp/verdict"),
        *words("-device virtserialport,chardev=verdict,name=org.bootpilot.verdict"),
        *words("-dtb board.dtb -drive if=none,id=card,format=raw,file=card.img -device virtio-blk-device,drive=card"),
        *words("-netdev hubport,id=net0,hubid=0 -device virtio-net-device,netdev=net0,mac=52:54:00:00:00:01"),
        *words("-netdev user,id=net1,hostfwd=tcp:127.0.0.1:8080-:80"),
        *words("-device virtio-net-device,netdev=net1,mac=52:54:00:49:c4:cf"),
    ]


def test_memory_watchdog_reset_and_further_options_are_added_where_asked_for() -> None:
    argv = qemu_argv(replace(PC, memory_mib=256, watchdog=True, stop_at_reset=False, extra=("-icount", "shift=0")))
    assert " ".join(argv).count("-m 256") == 1
    assert " ".join(argv).count("-action reboot=reset") == 1
    assert argv[-4:] == ["-device", "i6300esb", "-icount", "shift=0"]


def test_a_comma_in_a_path_does_not_end_the_option() -> None:
    argv = qemu_argv(replace(BOARD, boot=CardBoot(Path("/run/a,b/card.img"), Path("/run/a,b/board.dtb"))))
    assert "if=none,id=card,format=raw,file=/run/a,,b/card.img" in argv
    assert argv[argv.index("-dtb") + 1] == "/run/a,b/board.dtb"


def test_a_boot_server_can_be_named_by_dhcp() -> None:
    argv = qemu_argv(replace(PC, nics=(Nic(IDENTITY.mac, UserNet(bootfile="http://10.0.2.2:8080")),)))
    assert "user,id=net0,bootfile=http://10.0.2.2:8080" in argv


def test_a_board_behind_a_switch_has_the_user_mode_network_at_its_access_port() -> None:
    net = SwitchedNet(Path("/run/a,b/trunk"), Path("/run/bp/access"), UserNet(8080))
    assert qemu_argv(replace(PC, nics=(Nic(IDENTITY.mac, net),)))[-12:] == [
        *words("-netdev stream,id=net0,server=off,addr.type=unix,addr.path=/run/a,,b/trunk"),
        *words("-netdev stream,id=access0,server=off,addr.type=unix,addr.path=/run/bp/access"),
        *words("-netdev hubport,id=hub0a,hubid=0,netdev=access0"),
        *words("-netdev user,id=user0,hostfwd=tcp:127.0.0.1:8080-:80"),
        *words("-netdev hubport,id=hub0b,hubid=0,netdev=user0"),
        *words("-device virtio-net-pci,netdev=net0,mac=52:54:00:49:c4:cf,romfile="),
    ]


def test_the_device_tree_is_dumped_with_the_firmware_named_and_gets_the_serial_number() -> None:
    assert dumpdtb_argv(MACHINES["armhf"], Path("/run/bp/tree")) == [
        *words("qemu-system-arm -machine virt,highmem=off,dumpdtb=/run/bp/tree -accel tcg -cpu cortex-a15 -smp 2 -m 1024"),
        *words("-bios /usr/lib/u-boot/qemu_arm/u-boot.bin -nodefaults -display none"),
    ]
    assert fdtput_argvs(Path("tree"), "BP1", ["1", "2"], ["3"])[0] == words("fdtput -t s tree / serial-number BP1")


def test_each_name_has_its_own_serial_uuid_and_mac_and_keeps_them() -> None:
    boards = [Identity.named(f"board {number}") for number in range(200)]
    assert boards == [Identity.named(f"board {number}") for number in range(200)]
    for values in ({board.serial for board in boards}, {board.uuid for board in boards}, {board.mac for board in boards}):
        assert len(values) == 200


def test_an_allwinner_board_has_its_card_in_its_slot_its_own_network_and_no_virtio() -> None:
    guest = replace(
        BOARD, machine=BY_BOARD["orangepi-pc"], boot=CardBoot(Path("card.img")), nics=(Nic(IDENTITY.mac, UserNet(80)),)
    )
    argv = qemu_argv(guest)
    assert argv[-6:] == [
        *words("-drive if=sd,index=0,format=raw,file=card.img"),
        *words(f"-global allwinner-sid.identifier={IDENTITY.uuid}"),
        *words(f"-nic user,id=net0,hostfwd=tcp:127.0.0.1:80-:80,mac={IDENTITY.mac}"),
    ]
    assert not [word for word in argv if "virtio" in word or word in {"-cpu", "-bios", "-kernel", "-dtb"}]


def test_a_cubieboard_is_told_by_its_sata_disk_and_starts_with_the_qemu_that_knows_it() -> None:
    argv = qemu_argv(replace(BOARD, machine=BY_BOARD["cubieboard"], boot=CardBoot(Path("card.img")), qemu=("ld.so", "qemu")))
    assert argv[:4] == words("ld.so qemu -machine cubieboard")
    assert f"ide-hd,drive=disk,bus=ide.0,serial={IDENTITY.serial}" in argv


def test_uefi_has_its_code_and_variables_in_two_flash_files() -> None:
    boot = CardBoot(Path("card.img"), firmware=(Path("code"), Path("own,variables")))
    argv = qemu_argv(replace(PC, machine=BY_BOARD["uefi-amd64"], boot=boot))
    assert "if=pflash,unit=0,format=raw,readonly=on,file=code" in argv
    assert "if=pflash,unit=1,format=raw,file=own,,variables" in argv


def test_a_board_without_firmware_gets_the_loader_of_its_card_and_the_console_is_its_second_uart() -> None:
    boot = DirectBoot(Path("vmlinuz"), Path("initrd"), "nr_cpus=1", Path("tree"), Path("card.img"))
    argv = qemu_argv(replace(BOARD, machine=BY_BOARD["imx53-qsb"], boot=boot))
    assert argv[argv.index("-serial") :][:4] == words("-serial null -serial chardev:console")
    assert "-kernel vmlinuz -initrd initrd -append nr_cpus=1 -dtb tree" in " ".join(argv)
    assert "sd-card,drive=card" in argv


@pytest.mark.parametrize("name", sorted(BY_BOARD))
def test_every_machine_starts_the_card_of_a_board_of_its_own_architecture(name: str) -> None:
    machine = BY_BOARD[name]
    assert BOARDS[machine.board].arch == machine.arch
    assert name in BOARDS[machine.board].names
    assert machine.title
    assert machine.payload_arguments[0].startswith(f"console={machine.console}")


def test_every_board_is_simulated_or_it_is_said_why_not() -> None:
    families = [{*board.names} for board in ROWS]
    assert [names for names in families if not names & {*BY_BOARD, *NOT_SIMULATED}] == []
    assert {*NOT_SIMULATED} <= {*BOARDS}
    assert not {*NOT_SIMULATED} & {*BY_BOARD}


def test_a_qemu_says_its_version_or_none_at_all() -> None:
    assert read_version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright") == (10, 0)
    assert read_version("bash: not found") == (0, 0)
