"""An authority of the harness's own, and certificates for servers, made by openssl."""

import datetime
import ssl
from pathlib import Path

from bootpilot_agent.run import run

NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
SETTINGS = """\
[ca]
default_ca = it
[it]
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
"""
OPENSSL_S = 60.0
# Valid for as long as a site's CA is.
CA_DAYS = 7300


class Certificates:
    """`ca.pem` in `folder` is the authority; what it signed for `name` is `name.pem` with `name.key`."""

    def __init__(self, folder: Path, start_days: int = -30) -> None:
        self.folder = folder
        (folder / "index.txt").write_text("")
        (folder / "ca.cnf").write_text(SETTINGS)
        self._openssl(f"req -new {NEW_KEY} -keyout ca.key -out ca.csr -subj /CN=TestCA")
        self._sign("ca", start_days, CA_DAYS, "-selfsign -extensions authority")

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str, alternative: str = "IP:127.0.0.1", start_days: int = -1, end_days: int = 1) -> ssl.SSLContext:
        """A server's context with a certificate for this subjectAltName, valid between the two days from now."""
        self._openssl(
            f"req -new {NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name} -addext subjectAltName={alternative}"
        )
        self._sign(name, start_days, end_days)
        return self.context(name)

    def sign_itself(self, name: str, alternative: str = "IP:127.0.0.1") -> ssl.SSLContext:
        """The same with a certificate that no authority has signed."""
        subject = f"-subj /CN={name} -addext subjectAltName={alternative}"
        self._openssl(f"req -x509 {NEW_KEY} -keyout {name}.key -out {name}.pem -days 2 {subject}")
        return self.context(name)

    def context(self, name: str) -> ssl.SSLContext:
        """A server's context with what was made before."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def _sign(self, name: str, start_days: int, end_days: int, options: str = "") -> None:
        now = datetime.datetime.now(datetime.UTC)
        start, end = (f"{now + datetime.timedelta(days=days):%Y%m%d%H%M%SZ}" for days in (start_days, end_days))
        dates = f"-startdate {start} -enddate {end}"
        self._openssl(f"ca -batch -config ca.cnf -in {name}.csr -out {name}.pem -notext {dates} {options}")

    def _openssl(self, words: str) -> None:
        run(["env", f"--chdir={self.folder}", "openssl", *words.split()], timeout_s=OPENSSL_S)
