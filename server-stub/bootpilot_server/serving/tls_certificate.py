"""The server's own certificate for HTTPS: refused at the start if it cannot be used, and read again when its files change.

So a renewal needs no restart: what certbot or a cron job writes counts from the next connection on. Half a renewal (the new
certificate with the old key) does not count: the one before stays in use.
"""

import logging
import ssl
import threading
from pathlib import Path

from bootpilot_server.errors import OperatorError

log = logging.getLogger(__name__)


class ServerCertificate:
    """A certificate with the chain below the boards' CA, and its key, both PEM files. Used by many threads at once."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises OperatorError that names the file which cannot be used."""
        self.certificate = certificate
        self.key = key
        self._lock = threading.Lock()
        try:
            self._state = self._stat()
            self._context = self._load()
        except (OSError, ValueError) as error:
            raise _fault(certificate, key, error) from error

    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        with self._lock:
            try:
                state = self._stat()
                if state != self._state:
                    self._context, self._state = self._load(), state
                    log.info("%s was renewed", self.certificate)
            except (OSError, ValueError) as error:
                log.warning("the certificate from before stays in use: %s", _fault(self.certificate, self.key, error))
            return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The agents speak nothing older; Debian's OpenSSL offers nothing older either.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key, password=_no_password)
        return context

    def _stat(self) -> tuple[tuple[int, int, int], ...]:
        found = (path.stat() for path in (self.certificate, self.key))
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in found)


def _no_password() -> str:
    raise ValueError("the key has a password, and nobody is there to type it at a restart")


def _fault(certificate: Path, key: Path, error: Exception) -> OperatorError:
    hint = "--certificate takes the server's certificate and what is between it and the CA, --key its key, both as PEM"
    if isinstance(error, ssl.SSLError):
        reason = {"KEY_VALUES_MISMATCH": "the key belongs to another certificate"}.get(error.reason or "", "is no usable PEM")
        return OperatorError(f"{certificate} with {key}: {reason} ({error.reason or error})", hint)
    if isinstance(error, OSError):
        return OperatorError(f"{error.filename or f'{certificate} or {key}'}: {error.strerror}", hint)
    return OperatorError(f"{key}: {error}", "openssl pkey -in KEY -out PLAIN takes a password away")
