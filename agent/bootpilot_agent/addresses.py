"""Who a board says it is to the network: DHCP client-id, vendor and user class, and a stable MAC. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass

from bootpilot_agent.evidence import Evidence, EvidenceKind, best_serial

# RFC 2132, 9.14: type 0 is an identifier that is no hardware address; 1 is Ethernet (RFC 1700) before a MAC.
TYPE_TEXT = b"\x00"
TYPE_ETHERNET = b"\x01"
MAX_SERIAL_BYTES = 64
USER_CLASS = "bootpilot"
# Beside local-mac-address in a device tree that this agent handed on: to the next kernel such a MAC looks permanent, and a
# loader that follows must not take it for evidence.
DERIVED_MAC = "bootpilot,derived-mac"


@dataclass(frozen=True)
class GivenMac:
    """A MAC that an interface would not have by itself, because its own is random. `node` is its path in the running device
    tree, "" where the tree does not know the interface; `derived`: made of the board's identity, and so no evidence of it.
    """

    interface: str
    mac: str
    node: str
    derived: bool


def steady_serial(evidence: Sequence[Evidence]) -> Evidence | None:
    """The best serial, but that of the card before that of a disk: a disk may take seconds to answer, so that it is there at
    one boot and late at the next, while the card was read before the network is started. None if nothing names this board.
    """
    without_disks = tuple(piece for piece in evidence if piece.kind is not EvidenceKind.DISK_SERIAL)
    return best_serial(without_disks) or best_serial(tuple(evidence))


def client_id(evidence: Sequence[Evidence], index: int, mac: str) -> bytes:
    """The value of option 61 for the interface started as number `index`, with the type byte first.

    The first interface has the board's bare serial, others a suffix, so that two interfaces on one network do not share a
    lease. A board named by nothing better than a MAC sends that interface's own, as every other DHCP client does: then the
    payload keeps the address whether or not it knows of client-ids.
    """
    serial = steady_serial(evidence)
    if serial is None or serial.kind is EvidenceKind.MAC:
        return TYPE_ETHERNET + bytes.fromhex(mac.replace(":", ""))
    suffix = f"-{index}" if index else ""
    return TYPE_TEXT + _short(serial.value) + suffix.encode()


def _short(serial: str) -> bytes:
    raw = serial.encode()
    plain = len(raw) <= MAX_SERIAL_BYTES and serial.isascii() and serial.isprintable()
    return raw if plain else _sha256(raw).hex().encode()


def _sha256(raw: bytes) -> bytes:
    # Imported here: it loads libcrypto, for which a board with an ordinary serial and MAC need not wait before DHCP.
    import hashlib

    return hashlib.sha256(raw).digest()


def stable_mac(evidence: Sequence[Evidence], nic_path: str) -> str | None:
    """A locally administered MAC (02:...) that is the same at every boot; None if nothing names this board.

    Made from the best serial and the place of the interface, for interfaces whose own MAC is random.
    """
    serial = steady_serial(evidence)
    if serial is None:
        return None
    digest = _sha256(f"{serial.value}\0{nic_path}".encode())
    return ":".join(f"{byte:02x}" for byte in b"\x02" + digest[:5])


def vendor_class(arch: str) -> str:
    """Option 60: lets a DHCP server tell this agent from what else runs on the board."""
    return f"bootpilot:{arch}"


def user_class() -> bytes:
    """Option 77: one class with its length before it (RFC 3004, section 4)."""
    return bytes([len(USER_CLASS)]) + USER_CLASS.encode()
