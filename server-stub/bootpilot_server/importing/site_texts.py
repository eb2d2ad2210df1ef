"""New files for an operator's folder. What stands there already is theirs and is never overwritten."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path

from bootpilot_server.errors import OperatorError

# Templates of every importer, as they are copied: FOLDER/NAME below templates/.
TEXTS = resources.files("bootpilot_server.importing") / "texts"


class Outcome(StrEnum):
    """What became of one file."""

    WRITTEN = "written"
    SAME = "already there"
    KEPT = "kept: it is there with other content"


@dataclass(frozen=True)
class SiteText:
    """One file by its path below the folder, such as templates/debian-installer/preseed.cfg."""

    path: str
    outcome: Outcome


def template_texts(folder: str, names: Iterable[str]) -> dict[str, str]:
    """Path below a site's folder -> text of the named templates that come with this program."""
    return {f"templates/{folder}/{name}": (TEXTS / folder / name).read_text("utf-8") for name in names}


def write_new(root: Path, texts: Mapping[str, str]) -> tuple[SiteText, ...]:
    """Write what is not there yet, making folders as needed. Raises OperatorError."""
    return tuple(SiteText(path, _write(root / path, text)) for path, text in texts.items())


def _write(path: Path, text: str) -> Outcome:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x": never through a link, and never over what came between looking and writing.
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        return _compare(path, text)
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}", "may this user write there?") from error
    return Outcome.WRITTEN


def _compare(path: Path, text: str) -> Outcome:
    try:
        return Outcome.SAME if path.read_bytes() == text.encode() else Outcome.KEPT
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}", "a file with this name is needed here") from error
