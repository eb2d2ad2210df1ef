"""A small Debian archive on disk, signed with a key of its own: real packages, a real index, read by the real apt."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from initramfs.mirrors import Suite

TIMEOUT_S = 120


@dataclass(frozen=True)
class ArchiveOnDisk:
    """`add` packages to a suite, then `publish` it; `suite` is what the builder is told."""

    root: Path

    def add(self, suite: str, name: str, version: str = "1.0", depends: str = "", architecture: str = "amd64") -> None:
        """One package; it has the one file /usr/share/NAME with its version as content."""
        tree = self.root / "trees" / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "usr" / "share").mkdir(parents=True)
        (tree / "usr" / "share" / name).write_text(version)
        control = {
            "Package": name,
            "Version": version,
            "Architecture": architecture,
            "Maintainer": "Nobody <nobody@example.org>",
        }
        control |= {"Depends": depends} if depends else {}
        control |= {"Description": "a package for tests"}
        (tree / "DEBIAN" / "control").write_text("".join(f"{key}: {value}\n" for key, value in control.items()))
        pool = self.root / "pool" / suite
        pool.mkdir(parents=True, exist_ok=True)
        call("dpkg-deb", "--root-owner-group", "--build", tree, pool)

    def publish(self, suite: str) -> None:
        """Write and sign the suite's index as it stands."""
        index = self.root / "dists" / suite / "main" / "binary-amd64" / "Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text(call("dpkg-scanpackages", "--multiversion", f"pool/{suite}", cwd=self.root))
        digest = hashlib.sha256(index.read_bytes()).hexdigest()
        release = self.root / "dists" / suite / "Release"
        release.write_text(
            f"Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: Sat, 01 Jan 2022 00:00:00 UTC\n"
            f"Architectures: amd64\nComponents: main\nSHA256:\n {digest} {index.stat().st_size} main/binary-amd64/Packages\n"
        )
        signed = release.with_name("InRelease")
        with self._key_home() as home:
            call("gpg", "--homedir", home, "--batch", "--yes", "--output", signed, "--clearsign", release)

    def suite(self, name: str, *, required: bool = False) -> Suite:
        return Suite(f"file:{self.root}", name, required, str(self.root / "key.gpg"))

    @contextmanager
    def _key_home(self) -> Iterator[Path]:
        """gpg's folder with the archive's key, made the first time.

        For as long as gpg works it has a short name: its agent's sockets lie in it, and their paths have 107 bytes (unix(7)).
        """
        kept = self.root / "gpg"
        # The agent takes its sockets away itself, a little after it was told to end.
        with tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp", ignore_cleanup_errors=True) as home:
            if kept.exists():
                shutil.copytree(kept, home, dirs_exist_ok=True)
            else:
                words = ["--batch", "--passphrase", "", "--quick-generate-key", "test@example.org", "ed25519", "sign"]
                call("gpg", "--homedir", home, *words)
                call("gpg", "--homedir", home, "--output", self.root / "key.gpg", "--export")
            try:
                yield Path(home)
            finally:
                call("gpgconf", "--homedir", home, "--kill", "gpg-agent")
            shutil.copytree(home, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("S.*"))


def call(*argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in argv], cwd=cwd, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout
