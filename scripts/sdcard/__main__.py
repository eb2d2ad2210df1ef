"""The command line of `scripts/build-sdcard`: arguments -> loader -> card image -> card."""

import argparse
import sys
import tempfile
from pathlib import Path

from bootpilot_agent.errors import AgentError
from initramfs.build import BuildOptions, build_loader
from initramfs.errors import BuildError
from scripts.sdcard.arguments import card_settings, parse, server_warnings
from scripts.sdcard.board import MIB, Board
from scripts.sdcard.boards import board_named
from scripts.sdcard.build import CardOptions, LoaderFiles, build_card, check_room
from scripts.sdcard.card_writer import write_card
from scripts.sdcard.console import ProgressBar, confirm
from scripts.sdcard.errors import CardError
from scripts.sdcard.explain import explain_text, list_text
from scripts.sdcard.extra_initrds import identity_initrd
from scripts.sdcard.firmware import firmware_files
from scripts.sdcard.layout import Layout, check_size
from scripts.sdcard.release import write_companions
from scripts.sdcard.target_disk import TargetDisk, describe_disk, reasons_against
from scripts.sdcard.verify import verify_card


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 with the reason on stderr."""
    options = parse(arguments)
    try:
        if options.list:
            print(list_text(), end="")
            return 0
        if options.explain:
            print(explain_text(board_named(options.explain)), end="")
            return 0
        if options.verify:
            return _verify(options.verify)
        return _make(options, board_named(options.board))
    except (AgentError, BuildError, CardError) as error:
        print(f"build-sdcard: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"build-sdcard: {f'{error.filename}: {error.strerror}' if error.filename else error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbuild-sdcard: stopped", file=sys.stderr)
        return 1


def _make(options: argparse.Namespace, board: Board) -> int:
    # All that can be wrong is looked at first: nobody wants to hear of it after minutes of building.
    disk = describe_disk(options.device) if options.device else None
    if disk:
        _check_disk(disk, 0, force=options.force)
    if options.size_mib:
        check_size(board, options.size_mib * MIB)
    for path in options.extra_initrd:
        path.open("rb").close()
    settings = card_settings(options.settings, options.server, options.set, options.ca)
    for warning in server_warnings(settings):
        print(f"build-sdcard: warning: {warning}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bootpilot-card-") as scratch:
        extra = [*options.extra_initrd]
        if options.identity:
            extra.append(identity_initrd(options.identity, Path(scratch) / "identity.cpio"))
        card = CardOptions(settings, tuple(options.argument), options.size_mib * MIB, options.fdt, tuple(extra))
        image = options.output or (Path(scratch) / "card.img" if disk else Path(f"bootpilot-{board.name}.img"))
        layout = _build(board, options, card, image)
        if not disk:
            return _say_image(image, board, layout, only_image=options.only_image)
        return _write(image, layout, disk, options)


def _build(board: Board, options: argparse.Namespace, card: CardOptions, image: Path) -> Layout:
    firmware = firmware_files(board, options.firmware)
    check_room(board, firmware, card.card_bytes)
    loader = build_loader(board.arch, BuildOptions(kernel=options.loader_kernel))
    files = LoaderFiles(loader.kernel, loader.initramfs, loader.dtbs, loader.build_id, loader.kernel_version)
    return build_card(board, files, card, image, firmware)


def _say_image(image: Path, board: Board, layout: Layout, *, only_image: bool) -> int:
    print(f"{image}: {layout.card_bytes // MIB} MiB, {board.title}, PARTUUID {layout.partuuid}")
    if not only_image:
        companions = write_companions(image, layout)
        size = companions[".zst"].stat().st_size
        print(f"{companions['.zst']}: {size / 1e6:.1f} MB, with {', '.join(path.name for path in companions.values())}")
    print(f"write it: scripts/build-sdcard {board.name} --device /dev/YOUR-CARD, or bmaptool copy, or dd bs=4M conv=fsync")
    return 0


def _check_disk(disk: TargetDisk, image_bytes: int, *, force: bool) -> None:
    never, doubts = reasons_against(disk, image_bytes)
    if never:
        raise CardError(f"{disk.path} cannot be written: {'; '.join(never)}")
    if doubts and not force:
        raise CardError(f"{disk.path} is not written: {'; '.join(doubts)}", "if it is the right disk all the same: --force")


def _write(image: Path, layout: Layout, disk: TargetDisk, options: argparse.Namespace) -> int:
    # Looked at again: minutes may have passed, and somebody may have put another card in.
    disk = describe_disk(disk.path)
    _check_disk(disk, image.stat().st_size, force=options.force)
    print(disk)
    if not options.yes and not confirm(f"everything on {disk.path} will be lost. Write the card?"):
        raise CardError("nothing was written")
    with ProgressBar(sys.stderr) as bar:
        write_card(image, layout, disk.path, bar.show)
    print(f"{disk.path}: written and read back; PARTUUID {layout.partuuid}")
    return 0


def _verify(path: Path) -> int:
    findings = verify_card(path)
    manifest = findings.manifest
    print(f"{path}: card for {manifest.board}, build {manifest.build_id}, loader kernel {manifest.kernel_version or 'unknown'}")
    for note in findings.notes:
        print(f"  {note}")
    for problem in findings.problems:
        print(f"  wrong: {problem}")
    if not findings.problems:
        print(f"  as written: {len(manifest.files)} files, {len(manifest.regions)} pieces of raw firmware")
    return 1 if findings.problems else 0


if __name__ == "__main__":
    sys.exit(main())
