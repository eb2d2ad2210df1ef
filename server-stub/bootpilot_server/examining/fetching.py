"""Fetches an artifact as boards would: through the server's URL and through each mirror. Touches the network only there."""

import hashlib
import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.examining.finding import Finding, bad, good, note

TIMEOUT_S = 20.0
# Whole up to here, so that its digest can be compared; of a larger one only the beginning.
WHOLE_BYTES = 4 << 20


def examine_name(url: str) -> Finding:
    """Whether the URL's host has an address, by this machine's resolver."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = sorted({str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError) as error:
        hint = "add the name to the DNS that DHCP offers to boards, or put the address into the URL"
        return bad(f"name {host}", f"does not resolve: {error}", hint)
    if all(address.startswith("127.") or address == "::1" for address in found):
        hint = "boards would ask themselves: use the address by which the network knows this machine"
        return bad(f"name {host}", f"is {', '.join(found)}", hint)
    return good(f"name {host}", f"is {', '.join(found)} for this machine's resolver; boards ask the one of DHCP")


def examine_greeting(url: str, ca: Path | None) -> Finding:
    """Whether a boot server answers there, as an agent checks it."""
    subject = f"server {url}"
    try:
        _, body = _get(f"{url.rstrip('/')}/v1/", ca, {}, 1 << 16)
        greeting = json.loads(body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        hint = "is `bootpilot serve` running, and does its --listen fit the URL?"
        return bad(subject, f"does not answer: {_reason(error)}", hint)
    if not isinstance(greeting, dict) or greeting.get("service") != "bootpilot":
        return bad(subject, "something answers that is no boot server", "another program, or a proxy, has this address")
    return good(subject, "a boot server answers")


def examine_fetch(base: str, sha256: str, size: int, ca: Path | None) -> Finding:
    """Whether this artifact comes from there, right, and in parts, which boards need to go on after a break."""
    subject, wanted = f"artifacts from {base}", min(size, WHOLE_BYTES)
    url = f"{base.rstrip('/')}/artifacts/sha256/{sha256}"
    try:
        headers, body = _get(url, ca, {"Range": f"bytes=0-{wanted - 1}"}, wanted)
    except (OSError, ValueError, http.client.HTTPException) as error:
        hint = "boards take the next source, if a plan names one"
        return bad(subject, f"{sha256[:12]}… does not come: {_reason(error)}", hint)
    if len(body) != wanted or (wanted == size and hashlib.sha256(body).hexdigest() != sha256):
        hint = "empty that cache, or look at its disk"
        return bad(subject, f"{sha256[:12]}… comes wrong ({len(body)} of {wanted} bytes)", hint)
    if headers.get("content-range", "").rpartition("/")[2] != str(size):
        hint = "let it pass Range through: every break in a download then costs the whole file"
        return note(subject, f"{sha256[:12]}… comes, but not in parts", hint)
    return good(subject, f"{sha256[:12]}… comes, {len(body)} bytes looked at")


def _get(url: str, ca: Path | None, headers: Mapping[str, str], most: int) -> tuple[Mapping[str, str], bytes]:
    context = ssl.create_default_context(cafile=str(ca) if ca else None) if url.startswith("https:") else None
    if not url.startswith(("http://", "https://")):
        raise ValueError("is no http or https URL")
    asked = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 (looked at one line above)
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S, context=context) as response:  # noqa: S310
        return {name.lower(): value for name, value in response.headers.items()}, response.read(most)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    return one_line(str(error.reason if isinstance(error, urllib.error.URLError) else error)) or type(error).__name__
