"""The last archive of a payload's initrd: what it changes in the payload's own tree, and what it leaves alone."""

import io
import stat
from pathlib import Path
from typing import Any

from bootpilot_agent.boot_note import BootNote
from bootpilot_agent.cpio import write_cpio
from bootpilot_agent.payload import note_entries
from bootpilot_agent.plan import Artifact, PayloadFile
from tests.initramfs.newc import read_newc


def test_the_folders_of_a_plans_files_keep_the_modes_that_a_system_gives_them(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(b"x")
    paths = ("/root/.ssh/authorized_keys", "/tmp/x", "/var/tmp/x", "/etc/deep/x")  # noqa: S108
    rows = [(PayloadFile(path, Artifact(("/v1/f",), 1, "0" * 64), 0o600), content) for path in paths]
    archive = io.BytesIO()
    names: dict[str, Any] = dict.fromkeys(BootNote.__dataclass_fields__, "")
    write_cpio(note_entries(BootNote(**names), rows), archive)
    found = read_newc(archive.getvalue())
    folders = {entry.name: oct(stat.S_IMODE(entry.mode)) for entry in found if stat.S_ISDIR(entry.mode)}
    assert folders == {
        "bootpilot": "0o700",
        "root": "0o700",
        "root/.ssh": "0o755",
        "tmp": "0o1777",
        "var": "0o755",
        "var/tmp": "0o1777",
        "etc": "0o755",
        "etc/deep": "0o755",
    }
    assert {f"/{entry.name}" for entry in found if stat.S_ISREG(entry.mode)} == {*paths, "/bootpilot/boot.json"}
