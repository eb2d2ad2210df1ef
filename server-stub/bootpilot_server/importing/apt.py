"""One package by this machine's own apt, which verifies it. Writes only below the folder that it is given.

Where the machine's lists do not have it, apt gets lists of its own: the release that is wanted, at the Debian archive which the
machine uses. Another one can be named.
"""

import os
import re
from pathlib import Path

from bootpilot_server.errors import OperatorError
from bootpilot_server.importing.programs import run

MIRROR_SETTING = "BOOTPILOT_DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
INDEX_FORMAT = "$(ORIGIN)\t$(RELEASE)\t$(COMPONENT)\t$(REPO_URI)"
DOWNLOAD_S = 1800.0
SIDE_SUITES = ("-security", "-updates", "-backports", "/updates")


def download(package: str, release: str, folder: Path) -> Path:
    """The package's file in `folder`. Raises OperatorError with what would help."""
    if _is_known(package):
        run(["apt-get", "download", *_as_anyone(), package], timeout_s=DOWNLOAD_S, cwd=folder)
    else:
        configuration = _private_state(release, folder / "apt")
        run(["apt-get", "update", "--error-on=any"], timeout_s=DOWNLOAD_S, apt_config=configuration)
        run(["apt-get", "download", package], timeout_s=DOWNLOAD_S, cwd=folder, apt_config=configuration)
    found = sorted(folder.glob("*.deb"))
    if not found:
        raise OperatorError(f"apt fetched no {package}", "--from FILE.deb takes one that is here already")
    return found[0]


def _is_known(package: str) -> bool:
    """To the machine's own lists; BOOTPILOT_DEBIAN_MIRROR says that these are not meant."""
    return not os.environ.get(MIRROR_SETTING) and "Candidate: " in run(["apt-cache", "policy", package], timeout_s=60)


def _as_anyone() -> list[str]:
    # As root apt would download as _apt, who cannot enter a private folder, and say so.
    return ["-o", "APT::Sandbox::User=root"]


def _private_state(release: str, folder: Path) -> Path:
    """An apt.conf for lists of its own below `folder`."""
    mirror = os.environ.get(MIRROR_SETTING, "").rstrip("/") or _machines_mirror(release)
    if not KEYRING.is_file():
        raise OperatorError(f"{KEYRING} is missing, so packages cannot be verified", "apt-get install debian-archive-keyring")
    for name in ("lists/partial", "archives/partial", "etc"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {release} main\n")
    values = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": folder / "etc",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": folder / "etc",
        # The netboot packages are for all architectures; no other package is looked at.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    configuration = folder / "apt.conf"
    configuration.write_text("".join(f'{name} "{value}";\n' for name, value in values.items()))
    return configuration


def _machines_mirror(release: str) -> str:
    """The address of the Debian archive in the machine's own configuration."""
    lines = run(["apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"], timeout_s=60).splitlines()
    for line in lines:
        origin, suite, component, address = (*line.split("\t"), "", "", "")[:4]
        if origin == "Debian" and component == "main" and not suite.endswith(SIDE_SUITES) and re.match(r"\w+:", address):
            return address.rstrip("/")
    raise OperatorError(
        "this machine's apt names no Debian archive",
        f"--from FILE.deb takes a package of {release}; or {MIRROR_SETTING}=http://mirror.example/debian names an archive",
    )
