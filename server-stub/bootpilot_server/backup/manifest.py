"""The first member of a backup: what is in it and what is not. No I/O here."""

import json
from dataclasses import asdict, dataclass

from bootpilot_agent.fields import FieldError, Fields, Json

# The names in the archive, in its order.
MANIFEST, DATABASE, SETTINGS, KEY, ARTIFACTS = "manifest.json", "state.sqlite", "server.toml", "secret.key", "artifacts/sha256/"


@dataclass(frozen=True)
class Manifest:
    """`needed` are the artifacts that the revision in force names; `has_artifacts` says whether the archive holds artifacts."""

    made_at: float
    program: str
    revision: int
    nodes: int
    has_settings: bool
    has_key: bool
    has_artifacts: bool
    artifacts: int
    needed: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        return {"version": 1, **asdict(self), "needed": [*self.needed]}

    def to_bytes(self) -> bytes:
        return json.dumps(self.to_json(), indent=2).encode() + b"\n"

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Manifest":
        """Raises FieldError."""
        fields = Fields.from_bytes(raw, len(raw))
        fields.version(1)
        made_at = fields.raw.get("made_at")
        if not isinstance(made_at, int | float):
            raise FieldError("made_at", "Unix seconds", made_at)
        return cls(
            made_at=float(made_at),
            program=fields.text("program"),
            revision=fields.number("revision"),
            nodes=fields.number("nodes"),
            has_settings=fields.flag("has_settings"),
            has_key=fields.flag("has_key"),
            has_artifacts=fields.flag("has_artifacts"),
            artifacts=fields.number("artifacts"),
            needed=fields.texts("needed", most=1_000_000),
        )

    def contents(self) -> list[str]:
        """For people: what is in it, then what is not."""
        pieces = [
            (True, f"{DATABASE} with {self.nodes} nodes and revision {self.revision}"),
            (self.has_settings, SETTINGS if self.has_settings else f"{SETTINGS} (there is none)"),
            (self.has_key, KEY if self.has_key else f"{KEY} (without it, boots under way begin anew after a restore)"),
            (self.has_artifacts, f"{self.artifacts} artifacts"),
        ]
        inside = [text for is_inside, text in pieces if is_inside]
        outside = [text for is_inside, text in pieces if not is_inside]
        return ["in it: " + ", ".join(inside), "not in it: " + (", ".join(outside) or "nothing")]
