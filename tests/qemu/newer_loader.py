"""Publishes a newer loader as an operator does: `loader add` prints the file for the folder that is applied."""

import json
from pathlib import Path

from scripts.lab.boot_server import BootServer
from scripts.lab.chain import Built


def publish_loader(server: BootServer, built: Built, folder: Path, build: str, *more_initrds: Path) -> None:
    """This loader with these further initrds, as the newest one of its architecture. `folder` is made. Raises LabError."""
    folder.mkdir()
    (folder / "vmlinuz").symlink_to(built.loader.kernel)
    (folder / "initramfs.zst").symlink_to(built.loader.initramfs)
    facts = {"arch": built.machine.arch, "build_id": build, "unpacked_bytes": built.loader.unpacked_bytes}
    (folder / "loader.json").write_text(json.dumps(facts))
    text = server.command("loader", "add", str(folder), "--console", built.machine.console)
    added = "".join(server.command("artifact", "add", str(path)) + "\n" for path in more_initrds)
    before, mark, after = text.partition("[dtb]")
    server.apply({f"loaders/{built.machine.arch}.toml": f"{before}{added}{mark}{after}"})
