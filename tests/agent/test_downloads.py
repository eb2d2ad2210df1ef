"""Fetching one artifact from a server that does everything wrong that servers and networks do."""

import gzip
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import FetchError, VerifyError
from bootpilot_agent.fetch import Fetcher
from bootpilot_agent.plan import Artifact
from bootpilot_agent.transport import Route, Transport
from tests.fakes.scripted_server import Reply, Request, ScriptedServer

CONTENT = bytes(range(256)) * 1200
ETAG = ("ETag", '"v1"')
GOOD = Reply(200, CONTENT, (ETAG,), ranges=True)
# Stands in the file already, as the first of two initrds would.
BEFORE = b"what was there before"


@dataclass
class Download:
    """One fetch into a file that has content already."""

    server: str
    urls: tuple[str, ...] = ("/a",)
    content: bytes = CONTENT
    deadline_s: float = 20.0
    stall_s: float = 5.0
    token: str = "secret-token"
    better_way: Callable[[], bool] = field(default=lambda: False)
    file: io.BytesIO = field(default_factory=lambda: io.BytesIO(BEFORE))
    said: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def run(self) -> bytes:
        """What was added to the file."""
        self.file.seek(0, io.SEEK_END)
        artifact = Artifact(self.urls, len(self.content), hashlib.sha256(self.content).hexdigest())
        transport = Transport(Route())
        deadline = Deadline.after(self.deadline_s)
        fetcher = Fetcher(transport, self.server, self.token, deadline, self.said.append, lambda: 0.0)
        fetcher.pause, fetcher.stall_s, fetcher.better_way = self.slept.append, self.stall_s, self.better_way
        try:
            fetcher.fetch(artifact, self.file, "kernel")
        finally:
            transport.close()
        return self.added

    @property
    def added(self) -> bytes:
        assert self.file.getvalue().startswith(BEFORE)
        return self.file.getvalue()[len(BEFORE) :]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def ranges_asked(server: ScriptedServer) -> list[int | None]:
    return [request.range_start for request in server.asked("/a")]


def test_an_artifact_arrives_as_it_is(server: ScriptedServer) -> None:
    server.on("GET", "/a", GOOD)
    assert Download(server.url).run() == CONTENT
    (request,) = server.asked("/a")
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("tenth", range(10))
def test_a_download_cut_anywhere_goes_on_where_it_was(server: ScriptedServer, tenth: int) -> None:
    cut = len(CONTENT) * tenth // 10
    server.on("GET", "/a", Reply(200, CONTENT, (ETAG,), cut_after=cut), GOOD)
    assert Download(server.url).run() == CONTENT
    assert ranges_asked(server) == [None, cut or None]
    assert server.asked("/a")[1].headers.get("if-range") == ('"v1"' if cut else None)


def test_a_reset_connection_is_resumed(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(200, CONTENT, (ETAG,), cut_after=len(CONTENT) // 2, reset=True), GOOD)
    assert Download(server.url).run() == CONTENT


def test_a_server_that_ignores_range_starts_over(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(200, CONTENT, cut_after=5000), Reply(200, CONTENT))
    assert Download(server.url).run() == CONTENT
    assert ranges_asked(server) == [None, 5000]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: ScriptedServer) -> None:
    other = b"x" * len(CONTENT)
    changed = Reply(200, CONTENT, (("ETag", '"v2"'),), ranges=True)
    server.on("GET", "/a", Reply(200, other, (ETAG,), cut_after=5000), changed)
    assert Download(server.url).run() == CONTENT


def test_a_weak_etag_is_not_used_for_resuming(server: ScriptedServer) -> None:
    weak = (("ETag", 'W/"v1"'),)
    server.on("GET", "/a", Reply(200, CONTENT, weak, cut_after=5000), GOOD)
    assert Download(server.url).run() == CONTENT
    assert "if-range" not in server.asked("/a")[1].headers


@pytest.mark.parametrize("answer", ["bytes 7-9/10", f"bytes 5000-9/{len(CONTENT) + 1}", "bytes */10", "nonsense", ""])
def test_a_wrong_content_range_is_noticed(server: ScriptedServer, answer: str) -> None:
    wrong = Reply(206, CONTENT[5000:], (("Content-Range", answer),))
    server.on("GET", "/a", Reply(200, CONTENT, cut_after=5000), wrong, GOOD)
    assert Download(server.url).run() == CONTENT
    assert ranges_asked(server) == [None, 5000, None]


def test_a_range_beyond_the_servers_file_starts_over(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(200, CONTENT, cut_after=5000), Reply(416), GOOD)
    assert Download(server.url).run() == CONTENT
    assert ranges_asked(server) == [None, 5000, None]


def test_a_wrong_digest_is_tried_once_more_and_then_refused(server: ScriptedServer) -> None:
    wrong = CONTENT[:-1] + b"!"
    server.on("GET", "/a", Reply(200, wrong))
    download = Download(server.url)
    with pytest.raises(
        VerifyError, match=f"plan {hashlib.sha256(CONTENT).hexdigest()}, got {hashlib.sha256(wrong).hexdigest()}"
    ):
        download.run()
    assert len(server.asked("/a")) == 2
    assert download.added == b""


def test_a_wrong_digest_from_one_url_is_made_good_by_another(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(200, b"!" * len(CONTENT)))
    server.on("GET", "/b", GOOD)
    assert Download(server.url, urls=("/a", "/b")).run() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 1])
def test_a_file_of_another_size_is_refused_without_reading_it(server: ScriptedServer, size: int) -> None:
    server.on("GET", "/a", Reply(200, (CONTENT + b"!")[:size]))
    with pytest.raises(VerifyError, match=f"plan {len(CONTENT)} bytes, server {size}"):
        Download(server.url).run()


def test_an_endless_body_is_read_to_the_size_in_the_plan_and_no_further(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(200, endless=True, length=None))
    with pytest.raises(VerifyError, match=f"{len(CONTENT)} bytes from"):
        Download(server.url).run()


def test_a_body_without_length_may_be_longer_as_long_as_its_beginning_is_right(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(200, CONTENT, endless=True, length=None))
    assert Download(server.url).run() == CONTENT


def test_a_stalled_server_is_given_up_and_resumed(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(200, CONTENT, (ETAG,), stall_after=5000), GOOD)
    download = Download(server.url, stall_s=0.3)
    assert download.run() == CONTENT
    assert ranges_asked(server) == [None, 5000]
    assert any("timed out" in line for line in download.said)


def test_a_download_over_a_cut_adapter_ends_where_another_one_is_there(server: ScriptedServer) -> None:
    server.on("GET", "/a", replace(GOOD, cut_after=100), Reply(lost=True))
    download = Download(server.url, better_way=lambda: len(server.requests) > 2)
    with pytest.raises(FetchError, match="the network adapter in use is cut off, and another one is not"):
        download.run()
    assert ranges_asked(server) == [None, 100, 100]
    assert download.added == b""


def test_a_server_that_drips_is_given_up(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(200, CONTENT, (ETAG,), drip_s=0.05), GOOD)
    download = Download(server.url, stall_s=0.4)
    assert download.run() == CONTENT
    assert any("stalled at" in line for line in download.said)


def test_headers_that_never_end_are_cut_at_the_deadline(server: ScriptedServer) -> None:
    slow = Reply(200, CONTENT, (("X-Long", "x" * 4000),), drip_headers=True)
    server.on("GET", "/a", slow)
    with pytest.raises(FetchError, match="not finished in time"):
        Download(server.url, deadline_s=0.5).run()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(server: ScriptedServer, status: int) -> None:
    server.on("GET", "/a", Reply(status, headers=(("Retry-After", "7"),)), GOOD)
    download = Download(server.url)
    assert download.run() == CONTENT
    assert 6 < sum(download.slept) <= 7


def test_a_busy_time_beyond_the_deadline_ends_the_download(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(503, headers=(("Retry-After", "3000"),)))
    with pytest.raises(FetchError, match="503: busy; the plan's deadline would pass"):
        Download(server.url).run()


def test_every_second_request_may_fail(server: ScriptedServer) -> None:
    parts = [Reply(200, CONTENT, (ETAG,), ranges=True, cut_after=60000) for _ in range(6)]
    server.on("GET", "/a", *[reply for part in parts for reply in (Reply(500), part)], GOOD)
    assert Download(server.url).run() == CONTENT


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_a_url_that_says_no_is_left_for_the_next(server: ScriptedServer, status: int) -> None:
    server.on("GET", "/a", Reply(status))
    server.on("GET", "/b", GOOD)
    assert Download(server.url, urls=("/a", "/b")).run() == CONTENT


def test_when_all_urls_say_no_each_is_named_with_its_reason(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(403))
    with pytest.raises(FetchError, match=r"/a: HTTP 403; .*/b: HTTP 404"):
        Download(server.url, urls=("/a", "/b")).run()


def test_a_dead_mirror_costs_one_attempt(server: ScriptedServer) -> None:
    with ScriptedServer() as gone:
        dead = gone.url + "/a"
    server.on("GET", "/a", GOOD)
    download = Download(server.url, urls=(dead, "/a"))
    assert download.run() == CONTENT
    assert any("Connection refused" in line for line in download.said)


def test_up_to_three_redirects_are_followed(server: ScriptedServer) -> None:
    for number in range(3):
        server.on("GET", f"/hop{number}", Reply(302, b"moved", (("Location", f"/hop{number + 1}"),)))
    server.on("GET", "/a", Reply(301, headers=(("Location", "/hop0"),)))
    server.on("GET", "/hop0", Reply(307, headers=(("Location", "/hop1"),)))
    server.on("GET", "/hop1", Reply(303, headers=(("Location", "/hop2"),)))
    server.on("GET", "/hop2", GOOD)
    assert Download(server.url).run() == CONTENT
    server.on("GET", "/hop2", Reply(302, headers=(("Location", "/a"),)))
    with pytest.raises(FetchError, match="more than 3 redirects"):
        Download(server.url).run()


@pytest.mark.parametrize(
    "target",
    ["file:///etc/shadow", "ftp://127.0.0.1/a", "//user:pw@127.0.0.1/a", "http://[broken/a", "http://127.0.0.1:99999/a", ""],
)
def test_a_redirect_elsewhere_is_not_followed(server: ScriptedServer, target: str) -> None:
    server.on("GET", "/a", Reply(302, headers=(("Location", target),)))
    with pytest.raises(FetchError, match="which is not allowed"):
        Download(server.url).run()


def test_a_redirect_with_an_endless_body_is_not_read(server: ScriptedServer) -> None:
    server.on("GET", "/a", Reply(302, endless=True, headers=(("Location", "/b"),), length=None))
    server.on("GET", "/b", GOOD)
    assert Download(server.url).run() == CONTENT


def test_what_is_compressed_on_the_way_is_refused_and_never_unpacked(server: ScriptedServer) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    server.on("GET", "/a", Reply(200, bomb, (("Content-Encoding", "gzip"),)))
    with pytest.raises(FetchError, match="sends gzip although the bare file was asked for"):
        Download(server.url).run()


def test_the_token_goes_to_the_servers_own_v1_and_nowhere_else(server: ScriptedServer) -> None:
    with ScriptedServer() as other:
        other.on("GET", "/v1/a", GOOD)
        server.on("GET", "/artifacts/a", Reply(302, headers=(("Location", other.url + "/v1/a"),)))
        server.on("GET", "/v1/boots/1/preseed", GOOD)
        assert Download(server.url, urls=("/v1/boots/1/preseed",)).run() == CONTENT
        assert Download(server.url, urls=("/artifacts/a",)).run() == CONTENT
        assert server.asked("/v1/boots/1/preseed")[0].headers["authorization"] == "Bearer secret-token"
        assert "authorization" not in server.asked("/artifacts/a")[0].headers
        assert "authorization" not in other.asked("/v1/a")[0].headers


def test_a_full_memory_is_a_failure_of_its_own(server: ScriptedServer) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    server.on("GET", "/a", GOOD)
    with pytest.raises(FetchError, match=r"cannot be kept in memory: .*No space left"):
        Download(server.url, file=Full(BEFORE)).run()


def test_a_redirect_is_asked_with_the_range_of_what_is_missing(server: ScriptedServer) -> None:
    def moved(request: Request) -> Reply:
        return Reply(302, headers=(("Location", "/b"),))

    server.on("GET", "/a", moved)
    server.on("GET", "/b", Reply(200, CONTENT, (ETAG,), cut_after=100), GOOD)
    assert Download(server.url).run() == CONTENT
    assert [request.range_start for request in server.asked("/b")] == [None, 100]
