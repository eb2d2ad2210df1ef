"""What tells the firmware to start the loader: extlinux.conf, boot.scr, config.txt, systemd-boot's entries. No I/O here.

File names carry no version, so that a newer loader replaces files and leaves these texts alone. The second choice (`.old`) is
for the previous loader; its files are there once an update has been made.
"""

from pathlib import PurePosixPath

from scripts.sdcard.board import Board, DeviceTree, Menu
from scripts.sdcard.boot_script import to_boot_script
from scripts.sdcard.errors import CardError

EXTLINUX_PATH = "extlinux/extlinux.conf"
KERNEL_PATH = "vmlinuz"
INITRAMFS_PATH = "initrd.img"
DTB_FOLDER = "dtbs"
# Of the files that hold the loader's command line.
MENU_ENDINGS = (".conf", ".scr", "cmdline.txt")
TITLE = "Bootpilot loader"


def loader_command_line(board: Board, partuuid: str, extra: tuple[str, ...] = ()) -> str:
    """The loader kernel's command line: the board's arguments, the card's name, and what this one card adds."""
    console = (f"console={board.console}",) if board.console else ()
    return " ".join([*console, *(argument.text for argument in board.arguments), f"bootpilot.card=PARTUUID={partuuid}", *extra])


def tree_path(board: Board, tree: DeviceTree) -> str:
    """Where a device tree stands on the card: Raspberry Pi firmware looks in the root only."""
    return PurePosixPath(tree.path).name if board.menu is Menu.PI_CONFIG else f"{DTB_FOLDER}/{tree.path}"


def menu_files(board: Board, command_line: str, fdt: str = "") -> dict[str, bytes]:
    """Path -> content of what the board's firmware reads. `fdt` overrides which of the board's trees is taken.

    Raises CardError for a tree that the board's row does not have.
    """
    chosen = _chosen_tree(board, fdt)
    if board.menu is Menu.EXTLINUX:
        return {EXTLINUX_PATH: extlinux_conf(board, command_line, chosen).encode()}
    if board.menu is Menu.BOOT_SCRIPT:
        return {"boot.scr": to_boot_script(boot_script_text(board, command_line, chosen), TITLE)}
    if board.menu is Menu.PI_CONFIG:
        return {"config.txt": config_txt(board, chosen).encode(), "cmdline.txt": f"{command_line}\n".encode()}
    entries = {"bootpilot": "", "bootpilot-old": ".old"}
    files = {f"loader/entries/{name}.conf": loader_entry(command_line, suffix).encode() for name, suffix in entries.items()}
    return {"loader/loader.conf": b"default bootpilot.conf\ntimeout 1\n", **files}


def extlinux_conf(board: Board, command_line: str, chosen: DeviceTree | None = None) -> str:
    """U-Boot's menu. With `chosen` that tree is named; else U-Boot picks one out of the folder, if there are any."""
    head = f"default netboot\nprompt 0\ntimeout 10\nmenu title {TITLE}\n"
    return head + "".join(
        _label(board, name, suffix, command_line, chosen) for name, suffix in (("netboot", ""), ("netboot-old", ".old"))
    )


def _label(board: Board, name: str, suffix: str, command_line: str, chosen: DeviceTree | None) -> str:
    fdt = f"    fdt /{DTB_FOLDER}{suffix}/{chosen.path}\n" if chosen else ""
    fdt = fdt or (f"    fdtdir /{DTB_FOLDER}{suffix}\n" if board.trees else "")
    return (
        f"\nlabel {name}\n    menu label {TITLE}{' (previous)' if suffix else ''}\n"
        f"    kernel /{KERNEL_PATH}{suffix}\n    initrd /{INITRAMFS_PATH}{suffix}\n{fdt}    append {command_line}\n"
    )


def boot_script_text(board: Board, command_line: str, chosen: DeviceTree | None = None) -> str:
    """The text of boot.scr. A card that cannot be read ends in a reset, not in silence at U-Boot's prompt."""
    if board.script is None or not board.trees:
        raise CardError(f"{board.name}: its row has no addresses or no device tree for a boot script")
    place = "mmc ${mmcdev}:${mmcpart}"
    if set(command_line) & set("'\n"):
        raise CardError(f"{board.name}: a boot script cannot hold this command line: {command_line!r}", "leave the quote out")
    lines = [f"echo {TITLE}", f"setenv bootargs '{command_line}'", f"setenv tree {(chosen or board.trees[0]).path}"]
    if chosen is None:
        switched = [tree for tree in board.trees if tree.switch]
        lines += [f"if test -e {place} {tree.switch}; then setenv tree {tree.path}; fi" for tree in switched]
    kernel, tree, initramfs = (
        f"0x{address:08x}" for address in (board.script.kernel, board.script.tree, board.script.initramfs)
    )
    for suffix in ("", ".old"):
        # The initramfs comes last: bootz takes its size from ${filesize}.
        loads = [
            f"load {place} {kernel} {KERNEL_PATH}{suffix}",
            f"load {place} {tree} {DTB_FOLDER}{suffix}/${{tree}}",
            f"load {place} {initramfs} {INITRAMFS_PATH}{suffix}",
        ]
        lines.append(f"if {' && '.join(loads)}; then bootz {kernel} {initramfs}:${{filesize}} {tree}; fi")
    return "\n".join([*lines, "echo No loader could be started from this card; trying again", "sleep 10", "reset", ""])


def config_txt(board: Board, chosen: DeviceTree | None = None) -> str:
    """Raspberry Pi firmware's settings. The names of Debian's device trees are the upstream kernel's."""
    lines = ["arm_64bit=1"] if board.arch == "arm64" else []
    lines += ["enable_uart=1", "upstream_kernel=1", f"kernel={KERNEL_PATH}", f"initramfs {INITRAMFS_PATH} followkernel"]
    filtered = [(tree.pi_filter, tree) for tree in board.trees if tree.pi_filter] if chosen is None else [("all", chosen)]
    for section, tree in filtered:
        lines += [f"[{section}]", f"device_tree={tree_path(board, tree)}"]
    return "\n".join([f"# {TITLE}", *lines, ""])


def loader_entry(command_line: str, suffix: str = "") -> str:
    """One entry of systemd-boot (Boot Loader Specification, type 1); an entry whose kernel is missing is not shown."""
    title = TITLE + (" (previous)" if suffix else "")
    return f"title {title}\nlinux /{KERNEL_PATH}{suffix}\ninitrd /{INITRAMFS_PATH}{suffix}\noptions {command_line}\n"


def _chosen_tree(board: Board, fdt: str) -> DeviceTree | None:
    """The tree that a person asked for, or the one that the row names; None where the firmware or a switch chooses."""
    trees = {PurePosixPath(tree.path).name: tree for tree in board.trees}
    wanted = fdt or (board.fdt if board.menu is Menu.EXTLINUX else "")
    if not wanted:
        return None
    name = PurePosixPath(wanted).name
    if name not in trees:
        raise CardError(f"{board.name} has no device tree {wanted!r}", f"its trees are {', '.join(trees) or 'none'}")
    return trees[name]
