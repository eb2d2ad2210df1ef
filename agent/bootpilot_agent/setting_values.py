"""How each kind of setting is read: text, number or TOML value -> checked value. No I/O here."""

import base64
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from bootpilot_agent.fields import ENROL_PATTERN

TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off")
UUID_LIKE = r"[0-9a-f]{8}-[0-9a-f]{2}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
MAC_LIKE = r"([0-9a-f]{2}:){5}[0-9a-f]{2}"
MAX_PEM_CHARACTERS = 64 * 1024
FILE_NAME = r"[A-Za-z0-9_-][A-Za-z0-9 ._-]{0,60}\.(pem|crt|cer|PEM|CRT|CER)"

# A value as it stands in the source: text, None for a bare word on the command line, or what TOML gives.
Raw = object


class SettingValueError(ValueError):
    """A value that cannot be taken; the text is what was expected instead.

    Of a list in which only some items are wrong, `wrong` are those and `rest` the others.
    """

    def __init__(self, expected: str, wrong: Raw = None, rest: tuple[object, ...] = ()) -> None:
        super().__init__(expected)
        self.wrong = wrong
        self.rest = rest


def read_url(value: Raw) -> str:
    """An http(s) URL of a boot server, without the closing slash. Raises SettingValueError."""
    expected = "an http or https URL such as http://boot.example:8080"
    text = _text(value, expected, longest=2048)
    if not re.fullmatch(r"[!-~]+", text):
        raise SettingValueError(expected)
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError as error:  # a port out of range, a broken IPv6 literal
        raise SettingValueError(expected) from error
    if not usable:
        raise SettingValueError(expected)
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise SettingValueError(expected + ", without user name, '?' or '#'")
    return text.rstrip("/")


def read_urls(value: Raw) -> tuple[str, ...]:
    found = _read_each(value, read_url, 'a URL or a list of URLs, such as ["http://10.0.0.1"]')
    if not found:
        raise SettingValueError("at least one URL")
    return found


def read_enrol(value: Raw) -> str:
    """A batch and its secret. Raises SettingValueError."""
    expected = "BATCH:secret, the line that `bootpilot batch create` prints"
    text = _text(value, expected, longest=200)
    if not re.fullmatch(ENROL_PATTERN, text):
        raise SettingValueError(expected)
    return text


def read_pem(value: Raw) -> str:
    """The certificates in PEM text, and nothing else that stands there (explanations, or a private key by mistake)."""
    expected = 'the certificate itself, """-----BEGIN CERTIFICATE----- ...""", or the name of a PEM file beside bootpilot.txt'
    if file_name(value):
        raise SettingValueError(f"a PEM file of that name, of at most {MAX_PEM_CHARACTERS} bytes, beside bootpilot.txt")
    text = _text(value, expected, longest=MAX_PEM_CHARACTERS)
    found = re.findall(r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", text)
    if not found:
        raise SettingValueError(expected)
    return "".join("\n".join(certificate.split("\r\n")) + "\n" for certificate in found)


def file_name(value: Raw) -> str:
    """The name of a certificate's file on the card, "" where the value is something else."""
    return value if isinstance(value, str) and re.fullmatch(FILE_NAME, value) else ""


def pem_text(content: bytes) -> str:
    """A certificate's file, as PEM text; a bare DER certificate (`.cer` as Windows writes it) too."""
    if content[:1] == b"\x30":  # SEQUENCE, with which every X.509 certificate begins
        return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(content).decode()}-----END CERTIFICATE-----\n"
    return content.decode("utf-8-sig", errors="replace")


def read_flag(value: Raw) -> bool:
    if value is None or value is True or value is False:
        return value is not False
    text = str(value).lower()
    if text not in TRUE_WORDS + FALSE_WORDS:
        raise SettingValueError("true or false")
    return text in TRUE_WORDS


def read_partuuid(value: Raw) -> str:
    expected = "PARTUUID= and 8 hex digits, '-', 2 hex digits (MBR) or a UUID (GPT)"
    text = _text(value, expected, longest=64).lower().removeprefix("partuuid=")
    if not re.fullmatch(UUID_LIKE, text):
        raise SettingValueError(expected)
    return text


def read_demand(value: Raw) -> str:
    if value not in ("https", "ca"):
        raise SettingValueError("https or ca")
    return str(value)


def read_interface(value: Raw) -> str:
    expected = "an interface name such as eth0, or its MAC address"
    text = _text(value, expected, longest=17)
    if re.fullmatch(MAC_LIKE, text.lower()):
        return text.lower()
    # IFNAMSIZ is 16 with the NUL; dev_valid_name() refuses '/', ':' and blanks.
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", text) or text in (".", ".."):
        raise SettingValueError(expected)
    return text


def read_address(value: Raw) -> str:
    expected = "an address with its prefix length, such as 192.0.2.10/24"
    text = _text(value, expected, longest=64)
    try:
        address = ipaddress.ip_interface(text)
    except ValueError as error:
        raise SettingValueError(expected) from error
    if "/" not in text or not is_usable_address(address.ip):
        raise SettingValueError(expected)
    return str(address)


def read_ip(value: Raw) -> str:
    expected = "an IP address such as 192.0.2.1"
    try:
        address = ipaddress.ip_address(_text(value, expected, longest=64))
    except ValueError as error:
        raise SettingValueError(expected) from error
    if not is_usable_address(address):
        raise SettingValueError(expected)
    return str(address)


def is_usable_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """False for what can be no host's address: unspecified, loopback, multicast, 0.0.0.0/8, 240.0.0.0/4 and broadcast."""
    first_byte = address.packed[0]
    odd = address.is_unspecified or address.is_loopback or address.is_multicast
    return not odd and (address.version == 6 or 0 < first_byte < 240)


def read_ips(value: Raw) -> tuple[str, ...]:
    return _read_each(value, read_ip, 'an address or a list of addresses, such as ["192.0.2.1"]')


def read_vlan(value: Raw) -> int:
    return _number(value, 1, 4094, "a VLAN id from 1 to 4094")


def read_watchdog(value: Raw) -> int:
    if isinstance(value, bool | str) and str(value).lower() in FALSE_WORDS:
        return 0
    return _number(value, 0, 600, "seconds from 10 to 600, or 0 for no watchdog", least_but_zero=10)


def read_hours(value: Raw) -> int:
    if isinstance(value, bool | str) and str(value).lower() in FALSE_WORDS:
        return 0
    return _number(value, 0, 720, "hours from 1 to 720, or 0 for never")


def read_class(value: Raw) -> str:
    text = _text(value, "1 to 200 printable ASCII characters", longest=200)
    if not re.fullmatch(r"[ -~]+", text):
        raise SettingValueError("1 to 200 printable ASCII characters")
    return text


def _text(value: Raw, expected: str, longest: int) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= longest:
        raise SettingValueError(expected)
    return value.strip()


def _read_each(value: Raw, read: Callable[[Raw], str], expected: str) -> tuple[str, ...]:
    """Each item of a list once. If some items are wrong, the error carries the others."""
    found: dict[str, None] = {}
    wrong: tuple[SettingValueError, Raw] | None = None
    for item in _items(value, expected):
        try:
            found[read(item)] = None
        except SettingValueError as error:
            wrong = wrong or (error, item)
    if wrong is not None:
        raise SettingValueError(str(wrong[0]), wrong[1], tuple(found))
    return tuple(found)


def _items(value: Raw, expected: str) -> list[Raw]:
    if isinstance(value, str):
        return [part for part in re.split(r"[,\s]+", value) if part]
    if isinstance(value, list) and len(value) <= 16:
        return list(value)
    raise SettingValueError(expected)


def _number(value: Raw, least: int, most: int, expected: str, least_but_zero: int = 0) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most or 0 < value < least_but_zero:
        raise SettingValueError(expected)
    return value
