"""What can be wrong with a server's certificate, in words; and the dates of one that holds but for them.

Believes nothing by itself: connections are made and verified in transport.py, by the same rules for every request.
"""

import socket
import ssl
from dataclasses import dataclass

import certifi

from bootpilot_agent.errors import SettingsError
from bootpilot_agent.wall_clock import date_of

CA_BUNDLE = str(certifi.where())

# <openssl/x509_vfy.h>; Python has no names for them.
NOT_YET_VALID, EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_LOCAL_ISSUER, _NO_ISSUER, _LEAF_UNVERIFIED = 18, 19, 20, 2, 21
_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH = 62, 64
_NO_CHECK_TIME = 0x200000

_UNKNOWN_CA = (
    "certificate: {words}: not signed by a CA that this board believes",
    "put that CA's certificate on the card as `ca` in bootpilot.txt; an unverified server is never used",
)
_OTHER_NAME = (
    "certificate: {words}",
    "name the server in bootpilot.txt as its certificate does, or give it a certificate for that name (subjectAltName)",
)
_DATES_HINT = "compare the certificate's dates with this board's clock; a board without a battery starts in the past"
# What OpenSSL cannot verify -> message with its own words, and what a person can do.
REASONS = {
    **dict.fromkeys((_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_LOCAL_ISSUER, _NO_ISSUER, _LEAF_UNVERIFIED), _UNKNOWN_CA),
    **dict.fromkeys((_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH), _OTHER_NAME),
    NOT_YET_VALID: ("certificate: {words}", _DATES_HINT),
    EXPIRED: ("certificate: {words}", f"renew it on the server; or {_DATES_HINT}"),
}
_OLD_TLS = ("the server speaks only TLS older than 1.2", "let the server speak TLS 1.2 or 1.3")
_NOT_TLS = ("what answers there does not speak TLS", "does the URL name the port of plain http?")
# OpenSSL's reason (openssl/ssl.h, SSL_R_*) for a handshake that failed before there was a certificate.
HANDSHAKES = {
    "UNSUPPORTED_PROTOCOL": _OLD_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD_TLS,
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "HTTP_REQUEST": _NOT_TLS,
}


@dataclass(frozen=True)
class Dates:
    """Between which two moments (unix time) a certificate is valid."""

    start_s: int
    end_s: int


def explain(error: ssl.SSLError) -> tuple[str, str]:
    """What does not hold -> (what is wrong, hint)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = error.verify_message.rstrip(".")
        text, hint = REASONS.get(
            error.verify_code, ("certificate: {words}", "see the server's certificate with openssl s_client")
        )
        return text.format(words=words), hint
    if isinstance(error, ssl.SSLEOFError):
        return "TLS: the other side hung up", _NOT_TLS[1]
    reason = error.reason or ""
    return HANDSHAKES.get(reason, (f"TLS: {reason.replace('_', ' ').lower() or error}", ""))


def explain_dates(error: ssl.SSLCertVerificationError, dates: Dates | None, today: str) -> tuple[str, str]:
    """The same for a certificate whose day is not yet, or no longer, with both days where they are known."""
    text, hint = explain(error)
    if dates is None:
        return text, hint
    return f"{text}: valid from {date_of(dates.start_s)} to {date_of(dates.end_s)}, and this board's clock says {today}", hint


def undated(connection: socket.socket, host: str, ca_file: str) -> ssl.SSLSocket:
    """TLS over the connection, which it takes over; still to shake hands, verifying all but dates. For `read_dates` only."""
    context = ssl.create_default_context(cafile=ca_file)
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)


def read_dates(undated: ssl.SSLSocket) -> Dates | None:
    """The dates of the certificate of whoever is at the other end, if all else about it holds; None if not.

    Ends the connection. That a CA has signed a first day says that this day has come, whatever the board's clock says.
    """
    try:
        with undated:
            undated.do_handshake()
            found = undated.getpeercert() or {}
            start, end = found["notBefore"], found["notAfter"]
    except (OSError, ValueError, KeyError):
        return None
    return Dates(ssl.cert_time_to_seconds(str(start)), ssl.cert_time_to_seconds(str(end)))


def read_ca_start(path: str) -> int:
    """The first day of the youngest CA in the file: it was there when somebody put it on the card. 0 if there is no CA in it.

    Raises SettingsError if OpenSSL finds no certificate in the file at all: then no server can be believed.
    """
    try:
        authorities = ssl.create_default_context(cafile=path).get_ca_certs()
        return max((ssl.cert_time_to_seconds(str(authority["notBefore"])) for authority in authorities), default=0)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"the `ca` on the card is no certificate that OpenSSL can read ({error}), so no server can be believed",
            "write the CA's certificate to the card again, as PEM text or as a file beside bootpilot.txt",
        ) from error
