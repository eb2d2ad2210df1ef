"""Whole boots where the card asks for https: over it, or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.board import FakeBoard
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.certificates import Certificates
from tests.fakes.kernels import bzimage
from tests.fakes.scripted_server import Reply


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(certificates: Certificates) -> Iterator[FakeBootServer]:
    with FakeBootServer(tls=certificates.issue("good")) as running:
        running.offer(bzimage(), b"an initrd")
        yield running


def card(certificates: Certificates, *servers: str) -> bytes:
    named = f"server = {list(servers)}\n" if servers else ""
    return f'{named}ca = """\n{certificates.ca.read_text()}"""\n'.encode()


def test_a_board_boots_over_https_with_the_ca_on_its_card(
    secure: FakeBootServer, certificates: Certificates, tmp_path: Path
) -> None:
    board = FakeBoard(tmp_path, card_text=card(certificates, secure.url))
    assert board.boot().how == "kexec -e", board.console
    assert "the server that gave this one is known by its certificate" in board.console
    assert board.run.loaded is not None
    assert board.run.loaded.note["ca"] == certificates.ca.read_text()
    assert board.run.loaded.note["server"] == secure.url


def test_dhcp_cannot_talk_a_board_with_a_ca_into_http(
    server: FakeBootServer, secure: FakeBootServer, certificates: Certificates, tmp_path: Path
) -> None:
    for name, text in (("ca", card(certificates)), ("typo", b'server = "https//boot.example"\n')):
        board = FakeBoard(tmp_path / name, card_text=text, dhcp_servers=(server.url,))
        assert board.boot().exit_code == 66
        assert "no lease that names a boot server with https" in board.console
        assert "no http server that DHCP names counts" in board.console
    assert server.requests == []
    board = FakeBoard(tmp_path / "both", card_text=card(certificates), dhcp_servers=(server.url, secure.url))
    assert board.boot().how == "kexec -e", board.console
    assert server.requests == []


def test_a_server_that_shows_another_certificate_is_not_asked_again_without_tls(
    server: FakeBootServer, certificates: Certificates, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with FakeBootServer(tls=Certificates(foreign).issue("liar")) as liar:
        text = card(certificates, liar.url, server.url)
        board = FakeBoard(tmp_path / "board", card_text=text, dhcp_servers=(server.url,))
        assert board.boot().exit_code == 66
        assert "not signed by a CA that this board believes" in board.console
        assert "hint: put that CA's certificate on the card as `ca`" in board.console
        assert f"setting server (card): expected https, as the settings beside it ask for, got {server.url}" in board.console
        assert liar.requests == server.requests == []


@pytest.mark.parametrize("broken", [b'ca = "site-ca.pem"\n', b'ca = """\nMIIB\n', b"ca = 5\n"])
def test_a_ca_that_cannot_be_read_shuts_every_server_out(server: FakeBootServer, broken: bytes, tmp_path: Path) -> None:
    """Not even a server that a public CA vouches for, or one of the command line: the card wanted this one CA."""
    board = FakeBoard(tmp_path, card_text=broken, servers=(server.url,), dhcp_servers=(server.url,))
    assert board.boot().exit_code == 64
    assert "setting ca (bootpilot.txt line 1)" in board.console
    assert "FAILED at settings: the card asks for a server that shows a certificate" in board.console
    assert server.requests == []


def test_no_redirect_leads_from_https_to_http(
    server: FakeBootServer, secure: FakeBootServer, certificates: Certificates, tmp_path: Path
) -> None:
    kernel = secure.artifact(bzimage())
    secure.boot["kernel"] = {**kernel, "urls": ["/elsewhere"]}
    target = f"{server.url}/artifacts/sha256/{kernel['sha256']}"
    secure.on("GET", "/elsewhere", Reply(302, headers=(("Location", target),)))
    board = FakeBoard(tmp_path, card_text=card(certificates, secure.url))
    assert board.boot().exit_code == 71
    assert server.requests == []


def test_a_card_that_asked_for_https_and_cannot_be_read_leaves_the_board_with_no_server_rather_than_any(tmp_path: Path) -> None:
    with FakeBootServer() as anybody:
        anybody.offer(bzimage(), b"an initrd")
        board = FakeBoard(tmp_path, card_text=b"", dhcp_servers=(anybody.url,))
        words = board.root / "proc/cmdline"
        words.write_text(words.read_text().strip() + " bootpilot.card_wants=https\n")
        assert board.boot().exit_code != 0
        assert anybody.reports == []
    assert "expected the https server that stood there when the card was made" in board.console
    assert "so no server can be believed" in board.console
    assert "put the file on the card again" in board.console
