"""The question that all DHCP servers of a network answer, and their offers as packets (RFC 2131, RFC 2132). No I/O here.

udhcpc takes the first offer and shows no other one; this is for the others. What is read here is named as udhcpc names it, so
that dhcp.py judges both alike.
"""

import ipaddress
import struct
from collections.abc import Mapping
from dataclasses import dataclass

MAGIC = b"\x63\x82\x53\x63"
BOOTREQUEST, BOOTREPLY, ETHERNET = 1, 2, 1
DISCOVER, OFFER = 1, 2
# RFC 2131, 2: op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file.
HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
BROADCAST = 0x8000
SUBNET, ROUTER, DNS, LEASE, KIND, SERVER_ID, WANTED, VENDOR_CLASS, CLIENT_ID = 1, 3, 6, 51, 53, 54, 55, 60, 61
BOOTFILE, USER_CLASS, BOOT_SERVER, PAD, END = 67, 77, 224, 0, 255
# Some servers drop what is shorter than BOOTP's packets (RFC 1542, 2.1).
LEAST_BYTES = 300


@dataclass(frozen=True)
class Question:
    """Who asks. `mac` in bytes; `client_id`, `vendor_class` and `user_class` as udhcpc sends them on the same interface."""

    number: int
    mac: bytes
    client_id: bytes
    vendor_class: str
    user_class: bytes

    def to_bytes(self) -> bytes:
        """A DHCPDISCOVER that wants its answer as a broadcast, which leaves the lease in use and its client alone."""
        none = bytes(4)
        head = HEADER.pack(
            BOOTREQUEST, ETHERNET, len(self.mac), 0, self.number, 0, BROADCAST, none, none, none, none, self.mac, b"", b""
        )
        options = {
            KIND: bytes([DISCOVER]),
            CLIENT_ID: self.client_id,
            VENDOR_CLASS: self.vendor_class.encode(),
            USER_CLASS: self.user_class,
            WANTED: bytes([SUBNET, ROUTER, DNS, BOOTFILE, BOOT_SERVER]),
        }
        packed = b"".join(bytes([code, len(value[:255])]) + value[:255] for code, value in options.items() if value)
        return (head + MAGIC + packed + bytes([END])).ljust(LEAST_BYTES, b"\0")


def read_offer(packet: bytes, question: Question) -> dict[str, str] | None:
    """An offer that answers this question, as udhcpc would hand it to its hook; None for everything else."""
    if len(packet) < HEADER.size + len(MAGIC) or packet[HEADER.size :][: len(MAGIC)] != MAGIC:
        return None
    op, _, _, _, number, _, _, _, yours, _, _, hardware, _, file = HEADER.unpack_from(packet)
    options = _options(packet[HEADER.size + len(MAGIC) :])
    if (op, number, options.get(KIND)) != (BOOTREPLY, question.number, bytes([OFFER])):
        return None
    if hardware[: len(question.mac)] != question.mac:
        return None
    values = {
        "ip": str(ipaddress.IPv4Address(yours)),
        "subnet": _addresses(options.get(SUBNET, b"")),
        "router": _addresses(options.get(ROUTER, b"")),
        "dns": _addresses(options.get(DNS, b"")),
        "serverid": _addresses(options.get(SERVER_ID, b"")),
        "lease": str(int.from_bytes(options.get(LEASE, b"")[:4], "big")),
        "opt224": options.get(BOOT_SERVER, b"").hex(),
        "bootfile": _text(options.get(BOOTFILE, b"")),
        "boot_file": _text(file),
    }
    return {name: value for name, value in values.items() if value}


def to_dump(event: str, values: Mapping[str, str]) -> bytes:
    """As udhcpc's hook leaves an event. No value may have a NUL in it."""
    pairs = {"event": event, **values}
    return b"".join(f"{name}={value}\0".encode("latin-1") for name, value in pairs.items())


def _options(data: bytes) -> dict[int, bytes]:
    """As far as they are whole; what stands twice is put together (RFC 3396)."""
    found: dict[int, bytes] = {}
    place = 0
    while place + 1 < len(data) and data[place] != END:
        if data[place] == PAD:
            place += 1
            continue
        code, length = data[place], data[place + 1]
        found[code] = found.get(code, b"") + data[place + 2 : place + 2 + length]
        place += 2 + length
    return found


def _addresses(value: bytes) -> str:
    whole = range(0, len(value) - 3, 4)
    return " ".join(str(ipaddress.IPv4Address(value[start : start + 4])) for start in whole)


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("latin-1")
