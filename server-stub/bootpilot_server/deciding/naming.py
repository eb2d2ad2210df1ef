"""What operators may call nodes, and the labels and addresses they may give them. No I/O here."""

import ipaddress
import re

from bootpilot_server.deciding.facts import LABEL_KEY_PATTERN

MAX_LABELS = 64
MAX_LABEL_VALUE = 256
_PART = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


def plain_name(text: str) -> str:
    """A node's name as it is kept: a host name (RFC 1123) in lower case that no id begins with. Raises ValueError."""
    name = text.strip().lower()
    if len(name) > 253 or not re.fullmatch(rf"{_PART}(\.{_PART})*", name):
        raise ValueError("a name is a host name: letters, digits and '-', with dots between, such as rack7-03")
    if re.fullmatch(r"[0-9a-f]{4,8}(-[0-9a-f-]*)?", name):
        raise ValueError("this could be the beginning of a node's id; a name needs a letter from g to z")
    return name


def check_label(key: str, value: str) -> None:
    """Raises ValueError."""
    if not re.fullmatch(LABEL_KEY_PATTERN, key):
        raise ValueError("a label's key is lower-case letters, digits, _ and -")
    if not value or len(value) > MAX_LABEL_VALUE or not value.isprintable():
        raise ValueError(f"a label's value has 1 to {MAX_LABEL_VALUE} printable characters")


def parse_labels(text: str) -> dict[str, str]:
    """`KEY=VALUE` words with blanks between. Raises ValueError."""
    labels: dict[str, str] = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError("labels are written KEY=VALUE, with blanks between")
        check_label(key, value)
        if key in labels:
            raise ValueError(f"label {key} stands there twice")
        labels[key] = value
    return labels


def plain_address(text: str) -> str:
    """An address with its prefix length, as it is compared. Raises ValueError."""
    expected = "an address with prefix length, such as 10.7.0.3/24"
    try:
        address = ipaddress.ip_interface(text.strip())
    except ValueError as error:
        raise ValueError(expected) from error
    if "/" not in text or address.ip.is_unspecified or address.ip.is_multicast or address.ip.is_loopback:
        raise ValueError(expected)
    network = address.network
    if (
        network.num_addresses > 2
        and address.version == 4
        and address.ip in (network.network_address, network.broadcast_address)
    ):
        raise ValueError(f"{expected}: this one is {network}'s own or its broadcast address")
    return str(address)
