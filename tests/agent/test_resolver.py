"""Host names against a name server that answers as some in the field do."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from bootpilot_agent.errors import NetworkError
from bootpilot_agent.resolver import resolve


@contextmanager
def name_server(answers: dict[str, str], otherwise: dns.rcode.Rcode | None) -> Iterator[int]:
    """Its port. `answers` is kind -> address; any other kind gets `otherwise`, or silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        threading.Thread(target=serve, args=(here, answers, otherwise), daemon=True).start()
        here.settimeout(10)  # long after the test's end its thread ends too
        yield here.getsockname()[1]


def serve(here: socket.socket, answers: dict[str, str], otherwise: dns.rcode.Rcode | None) -> None:
    while True:
        try:
            raw, asker = here.recvfrom(4096)
        except OSError:  # closed: the test is over
            return
        question = dns.message.from_wire(raw)
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        reply = dns.message.make_response(question)
        if kind in answers:
            reply.answer.append(dns.rrset.from_text(question.question[0].name, 60, "IN", kind, answers[kind]))
        elif otherwise is None:
            continue
        else:
            reply.set_rcode(otherwise)
        here.sendto(reply.to_wire(), asker)


@pytest.mark.parametrize("otherwise", [dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.REFUSED, None])
def test_an_address_counts_whatever_becomes_of_the_question_for_ipv6(otherwise: dns.rcode.Rcode | None) -> None:
    with name_server({"A": "192.0.2.7"}, otherwise) as port:
        assert resolve("boot.example", ("127.0.0.1",), "lo", 6.0, port) == ["192.0.2.7"]


def test_a_name_with_both_kinds_gives_both() -> None:
    with name_server({"A": "192.0.2.7", "AAAA": "2001:db8::7"}, None) as port:
        assert resolve("boot.example", ("127.0.0.1",), "lo", 6.0, port) == ["192.0.2.7", "2001:db8::7"]


def test_a_name_that_does_not_exist_is_believed_at_once() -> None:
    with name_server({}, dns.rcode.NXDOMAIN) as port, pytest.raises(NetworkError, match="the name does not exist"):
        resolve("boot.example", ("127.0.0.1",), "lo", 60.0, port)
