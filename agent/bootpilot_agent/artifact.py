"""One file as the wire tells it: where it can be had, its size and digest. No I/O here."""

import re
from dataclasses import dataclass

from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.linked_folders import check_unlinked

SHA256_PATTERN = r"[0-9a-f]{64}"
MAX_ARTIFACT_BYTES = 1 << 40


@dataclass(frozen=True)
class Artifact:
    """One file known by size and SHA-256, with every place it can be had. `unpacked_bytes` is 0 where it says nothing."""

    urls: tuple[str, ...]
    size_bytes: int
    sha256: str
    unpacked_bytes: int = 0

    def to_json(self) -> dict[str, Json]:
        known: dict[str, Json] = {"urls": list(self.urls), "size": self.size_bytes, "sha256": self.sha256}
        return {**known, "unpacked_size": self.unpacked_bytes} if self.unpacked_bytes else known

    @classmethod
    def from_fields(cls, fields: Fields) -> "Artifact":
        urls = fields.texts("urls", most=16, longest=2048)
        if not urls:
            raise FieldError(fields.name_of("urls"), "at least one URL", [])
        for index, url in enumerate(urls):
            check_url(f"{fields.name_of('urls')}[{index}]", url)
        return cls(
            urls=urls,
            size_bytes=fields.number("size", least=1, most=MAX_ARTIFACT_BYTES),
            sha256=fields.text("sha256", pattern=SHA256_PATTERN, expected="64 lower-case hex digits"),
            unpacked_bytes=fields.number_or_none("unpacked_size", most=MAX_ARTIFACT_BYTES) or 0,
        )


@dataclass(frozen=True)
class PayloadFile:
    """A small file the payload finds in its root: where, what, and its mode bits."""

    path: str
    artifact: Artifact
    mode: int

    def to_json(self) -> dict[str, Json]:
        return {
            "path": self.path,
            "url": self.artifact.urls[0],
            "size": self.artifact.size_bytes,
            "sha256": self.artifact.sha256,
            "mode": self.mode,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> "PayloadFile":
        path = fields.text("path", most=512, pattern=r"/[^\x00-\x1f\x7f]+", expected="an absolute path")
        if any(part in ("", ".", "..") for part in path[1:].split("/")) or f"{path}/".startswith("/bootpilot/"):
            raise FieldError(fields.name_of("path"), "a plain absolute path outside /bootpilot", path)
        check_unlinked(fields.name_of("path"), path)
        url = fields.text("url", most=2048)
        check_url(fields.name_of("url"), url)
        artifact = Artifact(
            urls=(url,),
            size_bytes=fields.number("size", most=16 << 20),
            sha256=fields.text("sha256", pattern=SHA256_PATTERN, expected="64 lower-case hex digits"),
        )
        return cls(path, artifact, fields.number("mode", most=0o7777))


def check_url(name: str, url: str) -> None:
    """A path on the server that answered, or an absolute http(s) URL without credentials. Raises FieldError."""
    if not re.fullmatch(r"(/(?!/)|https?://(?![^/]*@)[^/])[!-~]*", url):
        raise FieldError(name, "an http or https URL or a path on the server", url)
