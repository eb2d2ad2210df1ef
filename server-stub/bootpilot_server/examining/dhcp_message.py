"""DHCP messages as bytes (RFC 2131, RFC 2132): the question of a board that has no address yet, and the offers. No I/O here."""

import ipaddress
import struct
from dataclasses import dataclass

MAGIC = b"\x63\x82\x53\x63"
DISCOVER, OFFER = 1, 2
# RFC 2131, 2: op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, then sname and file.
HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
BROADCAST = 0x8000
MASK, ROUTER, DNS, BOOTFILE, TYPE, SERVER_ID, ASKED_FOR, VENDOR_CLASS = 1, 3, 6, 67, 53, 54, 55, 60
# Of the site's own range (RFC 3942): the boot server's URL, where an operator names it by DHCP.
BOOT_SERVER = 224


@dataclass(frozen=True)
class Offer:
    """One server's answer. `boot_server` is the URL that it names by option 224, or else 67; "" for none."""

    server: str
    address: str
    router: str
    dns: tuple[str, ...]
    boot_server: str


def discover(xid: int, mac: bytes) -> bytes:
    """The question. The answer is wanted as a broadcast: an address that we do not have cannot be sent to."""
    none = bytes(4)
    head = HEADER.pack(1, 1, len(mac), 0, xid, 0, BROADCAST, none, none, none, none, mac, b"", b"")
    asked = bytes([MASK, ROUTER, DNS, BOOTFILE, BOOT_SERVER])
    options = _option(TYPE, bytes([DISCOVER])) + _option(VENDOR_CLASS, b"bootpilot") + _option(ASKED_FOR, asked)
    # Some servers drop what is shorter than BOOTP's 300 bytes (RFC 1542, 2.1).
    return (head + MAGIC + options + b"\xff").ljust(300, b"\0")


def read_offer(message: bytes, xid: int) -> Offer | None:
    """None for anything but an offer that answers this question."""
    if len(message) < HEADER.size + len(MAGIC) or message[HEADER.size :][:4] != MAGIC:
        return None
    op, _, _, _, answers, _, _, _, yours, _, _, _, _, file = HEADER.unpack_from(message)
    options = _read_options(message[HEADER.size + len(MAGIC) :])
    if op != 2 or answers != xid or options.get(TYPE) != bytes([OFFER]):
        return None
    named = options.get(BOOT_SERVER, b"") or options.get(BOOTFILE, b"") or file.rstrip(b"\0")
    url = named.rstrip(b"\0").decode("utf-8", "replace")
    return Offer(
        server=next(iter(_addresses(options.get(SERVER_ID, b""))), ""),
        address=str(ipaddress.IPv4Address(yours)),
        router=next(iter(_addresses(options.get(ROUTER, b""))), ""),
        dns=_addresses(options.get(DNS, b"")),
        boot_server=url if url.startswith(("http://", "https://")) else "",
    )


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


def _read_options(data: bytes) -> dict[int, bytes]:
    """As far as they are whole; what stands twice is put together (RFC 3396)."""
    found: dict[int, bytes] = {}
    place = 0
    while place < len(data) and data[place] != 255:
        if data[place] == 0:
            place += 1
            continue
        if place + 1 >= len(data):
            break
        code, length = data[place], data[place + 1]
        found[code] = found.get(code, b"") + data[place + 2 : place + 2 + length]
        place += 2 + length
    return found


def _addresses(value: bytes) -> tuple[str, ...]:
    return tuple(str(ipaddress.IPv4Address(value[start : start + 4])) for start in range(0, len(value) - 3, 4))
