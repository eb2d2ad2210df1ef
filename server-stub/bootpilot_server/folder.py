"""Reads an operator's folder of profiles, rules and templates, once, into texts. Touches only that folder, and never writes."""

from pathlib import Path

from bootpilot_server.errors import OperatorError
from bootpilot_server.findings import Finding

FOLDERS = ("profiles", "rules", "templates")
MAX_FILES = 2000
MAX_FILE_BYTES = 1 << 20


def read_folder(root: Path) -> tuple[dict[str, str], list[Finding]]:
    """Texts by their path below `root`. What is decided afterwards is decided about these bytes. Raises OperatorError."""
    if not root.is_dir():
        raise OperatorError(f"{root}: no such folder", "it holds profiles/, rules/ and, if you like, templates/")
    if not any((root / name).is_dir() for name in FOLDERS):
        raise OperatorError(f"{root}: none of profiles/, rules/, templates/ is in it", "name the folder above them")
    texts: dict[str, str] = {}
    findings: list[Finding] = []
    for path in sorted(path for name in FOLDERS for path in (root / name).rglob("*")):
        if any(part.startswith(".") or part.endswith("~") for part in path.relative_to(root).parts) or path.is_dir():
            continue
        _read(path, root, texts, findings)
    if len(texts) > MAX_FILES:
        raise OperatorError(f"{root}: {len(texts)} files, at most {MAX_FILES} are taken")
    return texts, findings


def _read(path: Path, root: Path, texts: dict[str, str], findings: list[Finding]) -> None:
    name = path.relative_to(root).as_posix()
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            findings.append(Finding(name, 1, "is a link that leads out of the folder"))
        elif path.stat().st_size > MAX_FILE_BYTES:
            findings.append(Finding(name, 1, f"is larger than {MAX_FILE_BYTES} bytes"))
        else:
            # Not read_text: its newline translation would change what a template renders to.
            texts[name] = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        findings.append(Finding(name, line, "is not UTF-8"))
    except OSError as error:
        findings.append(Finding(name, 1, f"cannot be read: {error.strerror}"))
