"""Which URLs may be asked, and which may see the boot's token. No I/O here."""

from urllib.parse import urljoin, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def join_url(base: str, url: str) -> str | None:
    """A URL made absolute; None for one that cannot be asked: another scheme, a password in it, no host."""
    try:
        target = urljoin(base, url)
    except ValueError:  # a broken IPv6 literal
        return None
    return target if _origin(target) else None


def follow_redirect(url: str, location: str) -> str | None:
    """Where a redirect from `url` leads, if it may: the same scheme, or https. A download never gets less safe on its way."""
    target = join_url(url, location) if location else None
    origin, here = _origin(target or ""), _origin(url)
    return target if origin and here and origin[0] in ("https", here[0]) else None


def token_belongs(url: str, server: str) -> bool:
    """May the token go to this URL? Only to the boot server's own /v1/, by scheme, host, port and path."""
    own = urlsplit(server).path.rstrip("/")
    return _origin(url) is not None and _origin(url) == _origin(server) and urlsplit(url).path.startswith(f"{own}/v1/")


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.username is not None or port == 0:
        return None
    return parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme]
