"""Reads how a file of the folder names an artifact. No I/O here."""

from bootpilot_agent.plan import SHA256_PATTERN
from bootpilot_server.deciding.recipes import ArtifactRef
from bootpilot_server.site_folder.findings import Table


def read_ref(table: Table) -> ArtifactRef:
    """Its keys in this table, which stays open: some have others beside them."""
    return ArtifactRef(
        sha256=table.text(
            "sha256", pattern=SHA256_PATTERN, expected="64 lower-case hex digits, as `bootpilot artifact add` prints them"
        ),
        name=table.text("name", ""),
        size_bytes=table.number("size", 0),
        unpacked_bytes=table.number("unpacked_size", 0),
    )
