"""Artifacts: content-addressed on the disk, and over HTTP as caches and resuming boards expect."""

import io
from pathlib import Path

import pytest

from bootpilot_server.artifacts.artifact_store import ArtifactStore
from bootpilot_server.artifacts.kernel_header import HEADER_BYTES, kernel_arch, role
from bootpilot_server.errors import HomeError
from tests.fakes.bench import Bench
from tests.fakes.device_trees import compiled
from tests.fakes.site import KERNEL, digest

CONTENT = bytes(range(256)) * 40
NAME = digest(CONTENT)
PATH = f"/artifacts/sha256/{NAME}"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def test_a_file_is_kept_under_its_digest_and_adding_it_again_repairs_it(store: ArtifactStore) -> None:
    assert store.add(io.BytesIO(CONTENT)) == (NAME, len(CONTENT))
    path = store.folder / NAME
    path.chmod(0o644)
    path.write_bytes(b"x" + CONTENT[1:])
    assert not store.is_intact(NAME)
    store.add(io.BytesIO(CONTENT))
    assert store.is_intact(NAME)
    assert [path.name for path in store.folder.iterdir()] == [NAME]


@pytest.mark.parametrize("name", ["../secret.key", "", ".", "A" * 64, NAME[:-1], f"{NAME}/..", "a" * 64])
def test_only_digests_of_what_is_there_open_anything(store: ArtifactStore, name: str) -> None:
    store.add(io.BytesIO(CONTENT))
    with pytest.raises(FileNotFoundError):
        store.open(name)


def test_a_link_in_the_store_is_not_followed(store: ArtifactStore) -> None:
    store.add(io.BytesIO(CONTENT))
    (store.folder / ("a" * 64)).symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        store.open("a" * 64)
    assert store.describe(["a" * 64]) == {}


def test_a_store_that_cannot_be_written_says_so_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(HomeError) as caught:
        ArtifactStore(tmp_path / "file" / "artifacts").add(io.BytesIO(CONTENT))
    assert caught.value.hint


def test_headers_tell_kernels_of_each_machine_apart() -> None:
    bzimage = bytes(0x202) + b"HdrS" + bytes(0x236 - 0x206) + b"\x01"
    assert [kernel_arch(head) for head in (KERNEL, bzimage, bytes(0x24) + b"\x18\x28\x6f\x01", b"", CONTENT)] == [
        "arm64",
        "amd64",
        "armhf",
        "",
        "",
    ]
    heads = (KERNEL, b"\xd0\x0d\xfe\xed", compiled("orangepi-pc-plan"), compiled("spi-flash-overlay", "-@"), b"070701")
    assert [role(head[:HEADER_BYTES]) for head in heads] == ["kernel", "dtb", "dtb", "overlay", "initrd"]


def test_the_whole_artifact_may_be_cached_for_ever(bench: Bench) -> None:
    bench.server.artifacts.add(io.BytesIO(CONTENT))
    response = bench.client.get(PATH)
    assert (response.status_code, response.data) == (200, CONTENT)
    assert response.headers["ETag"] == f'"{NAME}"'
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("wanted", "status", "start", "stop"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=100-", 206, 100, len(CONTENT)),
        ("bytes=100-199", 206, 100, 200),
        ("bytes=-100", 206, len(CONTENT) - 100, len(CONTENT)),
        ("bytes=100-99999999", 206, 100, len(CONTENT)),
        ("bytes=0-1,5-6", 200, 0, len(CONTENT)),
        ("lines=1-2", 200, 0, len(CONTENT)),
        ("bytes=x-y", 200, 0, len(CONTENT)),
    ],
)
def test_a_range_is_answered_with_just_its_bytes(bench: Bench, wanted: str, status: int, start: int, stop: int) -> None:
    bench.server.artifacts.add(io.BytesIO(CONTENT))
    response = bench.client.get(PATH, headers={"Range": wanted})
    assert (response.status_code, response.data) == (status, CONTENT[start:stop])
    assert response.content_length == stop - start
    if status == 206:
        assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"


def test_a_range_beyond_the_end_is_a_416_problem_with_the_size(bench: Bench) -> None:
    bench.server.artifacts.add(io.BytesIO(CONTENT))
    response = bench.client.get(PATH, headers={"Range": f"bytes={len(CONTENT)}-"})
    assert (response.status_code, response.mimetype) == (416, "application/problem+json")
    assert response.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize(("etag", "status"), [(f'"{NAME}"', 206), ('"another"', 200), (f'W/"{NAME}"', 200), ("yesterday", 200)])
def test_a_resumed_download_goes_on_only_with_the_same_file(bench: Bench, etag: str, status: int) -> None:
    bench.server.artifacts.add(io.BytesIO(CONTENT))
    response = bench.client.get(PATH, headers={"Range": "bytes=10-", "If-Range": etag})
    assert response.status_code == status
    assert response.data == CONTENT[10 if status == 206 else 0 :]


def test_a_cache_that_has_it_is_told_so(bench: Bench) -> None:
    bench.server.artifacts.add(io.BytesIO(CONTENT))
    assert bench.client.get(PATH, headers={"If-None-Match": f'"{NAME}"'}).status_code == 304
    assert bench.client.get(PATH, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_tells_the_size_and_sends_nothing(bench: Bench) -> None:
    bench.server.artifacts.add(io.BytesIO(CONTENT))
    response = bench.client.head(PATH, headers={"Range": "bytes=5-9"})
    assert (response.status_code, response.content_length, response.data) == (200, len(CONTENT), b"")


@pytest.mark.parametrize(
    "name", ["a" * 64, "../../secret.key", "..%2f..%2fsecret.key", "%2e%2e/secret.key", "/etc/passwd", NAME.upper()]
)
def test_what_is_not_an_artifact_is_a_404_problem(bench: Bench, name: str) -> None:
    bench.server.artifacts.add(io.BytesIO(CONTENT))
    response = bench.client.get(f"/artifacts/sha256/{name}")
    assert (response.status_code, response.mimetype) == (404, "application/problem+json")


def test_downloads_beyond_their_share_are_told_to_come_back(bench: Bench) -> None:
    bench.server.artifacts.add(io.BytesIO(CONTENT))
    held = 0
    while bench.server.downloads.acquire(blocking=False):
        held += 1
    busy = bench.client.get(PATH)
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "3")
    bench.server.downloads.release(held)
    for _ in range(held + 1):
        assert bench.client.get(PATH).data == CONTENT
