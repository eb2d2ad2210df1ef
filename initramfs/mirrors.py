"""Which Debian archives the packages come from. Pure: text in, suites out.

The loader is of the Debian release that its architecture's row names, whatever Debian the machine runs, so only the addresses
are taken from the machine's own apt configuration.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from initramfs.errors import BuildError

MIRROR_SETTING = "BOOTPILOT_DEBIAN_MIRROR"
# In the package debian-archive-keyring of Debian and Ubuntu. A trixie machine's own signed-by may name a newer key only.
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Release names as a host's configuration may have them; before its first `apt-get update` a target has no Origin to look at.
_RELEASES = ("bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable")
_DEBIAN_RELEASE = re.compile(rf"({'|'.join(_RELEASES)})(-updates|-security|/updates)?")
INDEX_FORMAT = "$(ORIGIN)\t$(RELEASE)\t$(COMPONENT)\t$(REPO_URI)"


@dataclass(frozen=True)
class Suite:
    """One archive and suite. Without a `required` one nothing can be built; the others are left out when they do not answer."""

    uri: str
    name: str
    required: bool = False
    keyring: str = KEYRING
    components: str = "main"
    kind: str = "deb"  # deb-src: source packages
    priority: int = 0  # as apt pins it; 0: as the archive says itself, which for backports is "only when asked for"


def is_release(name: str) -> bool:
    """Is this what Debian calls one of its releases, rather than a package?"""
    return name in _RELEASES


def suites_from_mirror(mirror: str, release: str) -> tuple[Suite, ...]:
    """The suites of a release such as bookworm at a mirror that a person named, e.g. http://mirror.example/debian.

    Raises:
        BuildError: it is not an address that apt can read from.
    """
    address = mirror.strip().rstrip("/")
    if urlsplit(address).scheme not in {"http", "https", "file", "mirror+http", "mirror+https"}:
        raise BuildError(
            f"{MIRROR_SETTING} is {mirror!r}, expected an address of a Debian archive",
            f"for example {MIRROR_SETTING}=http://mirror.example/debian",
        )
    return _suites(address, address + "-security", release)


def suites_from_index_targets(text: str, release: str) -> tuple[Suite, ...]:
    """The suites of a release at the archives that the machine uses; `text` is what apt prints for `INDEX_FORMAT`.

    Raises:
        BuildError: there is no Debian archive among them.
    """
    main = security = ""
    for line in text.splitlines():
        origin, configured, component, uri = (*line.split("\t"), "", "", "")[:4]
        if component != "main" or not _is_debian(origin, configured):
            continue
        if configured.endswith(("-security", "/updates")):
            security = security or uri.rstrip("/")
        else:
            main = main or uri.rstrip("/")
    if not main:
        raise BuildError(
            "this machine's apt configuration names no Debian archive; the loader is made of Debian packages",
            f"set {MIRROR_SETTING}, for example to http://mirror.example/debian, and install debian-archive-keyring",
        )
    return _suites(main, security, release)


def sources_list(suites: tuple[Suite, ...]) -> str:
    """The suites as a sources.list for apt, each trusted by its own keys only.

    An archive on this disk is read by apt's copy method: by its file method apt leaves the packages where they are.
    """
    places = ((suite, re.sub(r"^file:", "copy:", suite.uri)) for suite in suites)
    return "".join(
        f"{suite.kind} [signed-by={suite.keyring}] {place} {suite.name} {suite.components}\n" for suite, place in places
    )


def preferences(suites: tuple[Suite, ...]) -> str:
    """The suites' priorities as apt's preferences."""
    return "\n".join(
        f"Package: *\nPin: release n={suite.name}\nPin-Priority: {suite.priority}\n" for suite in suites if suite.priority
    )


def _suites(main: str, security: str, release: str) -> tuple[Suite, ...]:
    suites = [Suite(main, release, required=True), Suite(main, f"{release}-updates")]
    if security:
        suites.append(Suite(security, f"{release}-security"))
    return tuple(suites)


def _is_debian(origin: str, release: str) -> bool:
    # apt leaves $(ORIGIN) as it stands when it does not know the value.
    known = origin if origin and not origin.startswith("$(") else ""
    return known == "Debian" or (not known and _DEBIAN_RELEASE.fullmatch(release) is not None)
