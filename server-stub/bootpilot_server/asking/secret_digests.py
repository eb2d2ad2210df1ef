"""Keeps the digests of files with secrets out of the database: a short secret could be guessed by its digest, years later.

A plan on record names such a file without it; asked for again, the plan has it back from the file itself.
"""

from collections.abc import Iterator

from bootpilot_agent.fields import Json
from bootpilot_server.deciding.decision import secret_file_path
from bootpilot_server.errors import ProblemError
from bootpilot_server.server import Server


def without_secret_digests(plan: dict[str, Json]) -> dict[str, Json]:
    """For the database."""
    for file, _ in _secret_files(plan):
        file["sha256"] = ""
    return plan


def with_secret_digests(server: Server, boot_id: str, plan: dict[str, Json]) -> None:
    """The same plan as it was told. Raises ProblemError 409 once its files are gone."""
    for file, name in _secret_files(plan):
        try:
            file["sha256"] = server.secret_files.digest(boot_id, name)
        except OSError as error:
            raise ProblemError(409, "the files of this plan are gone by now; ask with a new nonce") from error


def _secret_files(plan: dict[str, Json]) -> Iterator[tuple[dict[str, Json], str]]:
    """Each one in the plan, with its name."""
    payload, prefix = plan.get("boot"), secret_file_path(str(plan.get("boot_id")), "")
    files = payload.get("files") if isinstance(payload, dict) else None
    for file in files if isinstance(files, list) else ():
        if isinstance(file, dict) and str(file.get("url")).startswith(prefix):
            yield file, str(file["url"]).removeprefix(prefix)
