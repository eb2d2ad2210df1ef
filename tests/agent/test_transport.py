"""HTTP over one interface: what is never done, TLS that must hold, and failures in words."""

import datetime
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import TransportError
from bootpilot_agent.transport import Answer, Route, Transport
from tests.fakes.scripted_server import Reply, ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        running.on("GET", "/", Reply(200, b"hello", (("Set-Cookie", "a=b"),)))
        yield running


def ask(url: str, route: Route | None = None, timeout_s: float = 10.0, times: int = 1) -> Answer:
    transport = Transport(route or Route())
    try:
        for _ in range(times - 1):
            transport.ask("GET", url, deadline=Deadline.after(timeout_s))
        return transport.ask("GET", url, deadline=Deadline.after(timeout_s))
    finally:
        transport.close()


def test_an_answer_comes_whole(server: ScriptedServer) -> None:
    assert ask(server.url + "/").body == b"hello"


def test_proxies_netrc_and_cookies_do_not_exist(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    netrc.chmod(0o600)
    for name, value in (("http_proxy", "http://127.0.0.1:9"), ("ALL_PROXY", "http://127.0.0.1:9"), ("NETRC", str(netrc))):
        monkeypatch.setenv(name, value)
    assert ask(server.url + "/", times=2).status == 200
    for request in server.requests:
        assert {"authorization", "cookie"}.isdisjoint(request.headers)


def test_one_connection_serves_several_requests(server: ScriptedServer) -> None:
    assert ask(server.url + "/", times=3).status == 200
    assert len(server.requests) == 3
    assert server.connections == 1


def test_a_socket_is_bound_to_its_interface(server: ScriptedServer) -> None:
    assert ask(server.url + "/", Route("lo")).status == 200
    with pytest.raises(TransportError, match="No such device"):
        ask(server.url + "/", Route("nonexistent0"))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(lost=True), "closed connection without response"),
        (Reply(200, b"half", length=100, cut_after=4), "4 bytes read"),
        (Reply(200, b"x" * 70000), "more than 65536 bytes"),
        (Reply(200, b"never", stall_after=0), "not finished in time"),
        (Reply(200, b"slow", (("X", "y" * 1000),), drip_headers=True), "not finished in time"),
        (Reply(200, b"slow" * 100, drip_s=0.05), "not finished in time"),
    ],
)
def test_every_failure_is_told_in_words(server: ScriptedServer, reply: Reply, words: str) -> None:
    server.on("GET", "/broken", reply)
    with pytest.raises(TransportError, match=words):
        ask(server.url + "/broken", timeout_s=0.5)


def test_a_header_line_without_end_is_a_failure_too(server: ScriptedServer) -> None:
    server.on("GET", "/long", Reply(200, headers=(("X", "y" * 100_000),)))
    with pytest.raises(TransportError):
        ask(server.url + "/long")


def test_a_refused_connection_names_the_address(server: ScriptedServer) -> None:
    with pytest.raises(TransportError, match=r"127\.0\.0\.1 port 9: .*Connection refused"):
        ask("http://127.0.0.1:9/")


NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


class Certificates:
    """An authority of the test's own and what it signed, made by openssl."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl(
            f"req -x509 {NEW_KEY} -keyout ca.key -out ca.pem -days 2 -subj /CN=TestCA -addext keyUsage=critical,keyCertSign"
        )
        (folder / "index.txt").write_text("")
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\nnew_certs_dir=.\ncertificate=ca.pem\nprivate_key=ca.key\nrand_serial=yes\n"
            "default_md=sha256\npolicy=any\ncopy_extensions=copy\nunique_subject=no\nx509_extensions=leaf\n[any]\ncommonName=supplied\n"
            "[leaf]\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        )

    def issue(self, name: str, alternative: str, start_days: int = -1, end_days: int = 1) -> ssl.SSLContext:
        """A server's context with a certificate for this subjectAltName, valid between the two days from now."""
        now = datetime.datetime.now(datetime.UTC)
        start, end = (f"{now + datetime.timedelta(days=days):%Y%m%d%H%M%SZ}" for days in (start_days, end_days))
        self._openssl(
            f"req -new {NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name} -addext subjectAltName={alternative}"
        )
        self._openssl(f"ca -batch -config ca.cnf -in {name}.csr -out {name}.pem -startdate {start} -enddate {end} -notext")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    @property
    def pinned(self) -> Route:
        return Route(ca_file=str(self.folder / "ca.pem"))

    def _openssl(self, words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def test_a_server_with_a_certificate_of_the_pinned_ca_is_believed(certificates: Certificates) -> None:
    with ScriptedServer(tls=certificates.issue("good", "IP:127.0.0.1")) as server:
        server.on("GET", "/", Reply(200, b"hello"))
        assert ask(server.url + "/", certificates.pinned).body == b"hello"


@pytest.mark.parametrize(
    ("name", "alternative", "days", "words", "hint"),
    [
        ("elsewhere", "DNS:other.example", (-1, 1), "not valid for '127.0.0.1'", "`ca` in bootpilot.txt"),
        ("expired", "IP:127.0.0.1", (-3, -1), "certificate has expired", "this board's clock"),
        ("future", "IP:127.0.0.1", (1, 2), "not yet valid", "this board's clock"),
    ],
)
def test_a_certificate_that_does_not_hold_ends_the_request(
    certificates: Certificates, name: str, alternative: str, days: tuple[int, int], words: str, hint: str
) -> None:
    with ScriptedServer(tls=certificates.issue(name, alternative, *days)) as server:
        server.on("GET", "/", Reply(200, b"hello"))
        with pytest.raises(TransportError, match=words) as raised:
            ask(server.url + "/", certificates.pinned)
        assert hint in raised.value.hint
        assert server.requests == []


def test_a_ca_that_nobody_pinned_is_not_believed(certificates: Certificates) -> None:
    with ScriptedServer(tls=certificates.issue("good", "IP:127.0.0.1")) as server:
        with pytest.raises(TransportError, match="certificate"):
            ask(server.url + "/")
        assert server.requests == []


def test_old_tls_is_not_spoken(certificates: Certificates) -> None:
    context = certificates.issue("old", "IP:127.0.0.1")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with ScriptedServer(tls=context) as server, pytest.raises(TransportError):
        ask(server.url + "/", certificates.pinned)


def test_a_tls_handshake_that_never_comes_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TransportError, match="not finished in time"):
        ask(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.5)
