"""A Debian archive in a folder: packages and their indexes, unsigned; and the stanzas that such indexes are made of."""

import gzip
import hashlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_S = 1800
Stanza = dict[str, str]


@dataclass(frozen=True)
class Release:
    """One release for one architecture."""

    name: str
    arch: str


@dataclass
class Archive:
    """A folder that becomes an archive: files in folders, their stanzas by component."""

    root: Path
    release: Release
    stanzas: dict[str, list[Stanza]] = field(default_factory=lambda: {"main": [], "main/debian-installer": []})

    def add(self, file: Path, component: str, folder: str, more: Mapping[str, str] = {}) -> None:
        """Take a package in, below `folder`, with its control fields; those of `more` instead of its own."""
        place = self.root / folder / file.name.replace("%3a", "_")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        raw = place.read_bytes()
        control = parse_stanzas(run("dpkg-deb", "--field", str(file)))[0]
        self.stanzas[component].append(
            {
                **control,
                **more,
                "Filename": f"{folder}/{place.name}",
                "Size": str(len(raw)),
                "MD5sum": hashlib.md5(raw, usedforsecurity=False).hexdigest(),
                "SHA256": hashlib.sha256(raw).hexdigest(),
            }
        )

    def write_indexes(self) -> None:
        dists = self.root / "dists" / self.release.name
        for component, stanzas in self.stanzas.items():
            folder = dists / component / f"binary-{self.release.arch}"
            folder.mkdir(parents=True)
            text = "\n".join(to_text(stanza) for stanza in stanzas).encode()
            (folder / "Packages").write_bytes(text)
            # choose-mirror asks for this one to see whether the architecture is there.
            (folder / "Release").write_text(f"Archive: {self.release.name}\nArchitecture: {self.release.arch}\n")
            (folder / "Packages.gz").write_bytes(gzip.compress(text, mtime=0))
        lines = [
            *("Origin: Debian", "Label: Debian", f"Suite: {self.release.name}", f"Codename: {self.release.name}"),
            *("Date: Mon, 03 Mar 2025 00:00:00 UTC", f"Architectures: {self.release.arch}", "Components: main", "SHA256:"),
        ]
        files = [path for path in sorted(dists.rglob("*")) if path.is_file()]
        lines += [
            f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {path.relative_to(dists)}"
            for path in files
        ]
        (dists / "Release").write_text("\n".join(lines) + "\n")


def names_in(relation: str) -> list[str]:
    """The names of a Depends or Provides; of alternatives the first."""
    return [re.split(r"[\s(|:]", part.strip())[0] for part in relation.split(",") if part.strip()]


def parse_stanzas(text: str) -> list[Stanza]:
    """Stanzas of deb822; what goes on over several lines keeps its line ends."""
    found = []
    for paragraph in re.split(r"\n\n+", text.strip()):
        stanza: Stanza = {}
        key = ""
        for line in paragraph.split("\n"):
            if line[:1].isspace():
                stanza[key] += "\n" + line
            elif ":" in line:
                key, _, value = line.partition(":")
                stanza[key] = value.strip()
        found.append(stanza)
    return [stanza for stanza in found if "Package" in stanza]


def to_text(stanza: Stanza) -> str:
    return "".join(f"{key}: {value}\n" for key, value in stanza.items())


def run(*argv: str, cwd: Path | None = None, check: bool = True, apt_config: Path | None = None) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"} | (
        {"APT_CONFIG": str(apt_config)} if apt_config else {}
    )
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    if check and done.returncode:
        raise AssertionError(f"{argv}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
