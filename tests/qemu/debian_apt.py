"""apt with lists of its own, for one release and architecture, which know the installer's components too."""

import re
from collections.abc import Iterable
from pathlib import Path

from initramfs.cache import file_sha256
from initramfs.mirrors import sources_list
from initramfs.private_apt import apt_configuration, host_acquire_settings, host_suites
from tests.qemu.debian_archive import Release, Stanza, parse_stanzas, run


class Apt:
    """apt with lists of its own that know the installer's components too."""

    def __init__(self, release: Release, folder: Path) -> None:
        self.release = release
        self._folder = folder
        for name in ("lists/partial", "archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "apt.conf").write_text(apt_configuration(folder, release.arch, host_acquire_settings()))
        text = sources_list(host_suites(release.name)[:1])
        (folder / "sources.list").write_text(re.sub(r" main$", " main main/debian-installer", text, flags=re.MULTILINE))
        self("apt-get", "update", "-o", "APT::Update::Error-Mode=any")

    def __call__(self, *argv: str, cwd: Path | None = None, check: bool = True) -> str:
        return run(*argv, cwd=cwd, check=check, apt_config=self._folder / "apt.conf")

    def index_digests(self) -> list[str]:
        """Of everything that the archive says it has."""
        return [file_sha256(path) for path in sorted((self._folder / "lists").glob("*_Packages*"))]

    def components(self) -> dict[str, Stanza]:
        """The installer's components, by name."""
        index = self("apt-get", "indextargets", "--format", "$(FILENAME)", "Component: main/debian-installer")
        text = self("/usr/lib/apt/apt-helper", "cat-file", index.split()[0])
        return {stanza["Package"]: stanza for stanza in parse_stanzas(text)}

    def download(self, names: Iterable[str], folder: Path) -> list[Path]:
        """Each once; what the archive lists and does not have is not among what comes back."""
        folder.mkdir(exist_ok=True)
        self("apt-get", "download", *(f"{name}:{self.release.arch}" for name in sorted(names)), cwd=folder, check=False)
        return sorted(path for path in folder.iterdir() if path.suffix in (".deb", ".udeb"))

    def download_system(self, names: Iterable[str]) -> list[Path]:
        """Packages with all that they depend on, for a system that has nothing yet."""
        self("apt-get", "install", "-y", "--no-install-recommends", "--download-only", *names)
        return sorted((self._folder / "archives").glob("*.deb"))

    def packages(self) -> dict[str, Stanza]:
        """The ordinary packages, by name."""
        text = self("apt-cache", "dumpavail")
        return {item["Package"]: item for item in parse_stanzas(text) if item.get("Section") != "debian-installer"}
