"""A small Debian archive on disk, signed with a key of its own: real packages, a real index, read by the real apt."""

import hashlib
import subprocess
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
        home = self._home()
        signed = release.with_name("InRelease")
        call("gpg", "--homedir", home, "--batch", "--yes", "--output", signed, "--clearsign", release)
        call("gpgconf", "--homedir", home, "--kill", "gpg-agent")

    def suite(self, name: str, *, required: bool = False) -> Suite:
        return Suite(f"file:{self.root}", name, required, str(self.root / "key.gpg"))

    def _home(self) -> Path:
        home = self.root / "gpg"
        if not home.exists():
            home.mkdir(mode=0o700)
            words = ["--batch", "--passphrase", "", "--quick-generate-key", "test@example.org", "ed25519", "sign"]
            call("gpg", "--homedir", home, *words)
            call("gpg", "--homedir", home, "--output", self.root / "key.gpg", "--export")
        return home


def call(*argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in argv], cwd=cwd, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return done.stdout
