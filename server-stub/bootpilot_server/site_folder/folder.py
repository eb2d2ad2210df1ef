"""Reads an operator's folder of profiles, rules, loaders and templates, once, into texts. Never writes."""

import difflib
from pathlib import Path

from bootpilot_server.errors import OperatorError
from bootpilot_server.site_folder.findings import Finding

FOLDERS = ("profiles", "rules", "loaders", "templates")
MAX_FILES = 2000
MAX_FILE_BYTES = 1 << 20
# What stands at the top of many a repository and is never taken for a part of the site.
PAPERS = ("readme", "license", "copying", "changelog", "makefile")


def read_folder(root: Path) -> tuple[dict[str, str], list[Finding]]:
    """Texts by their path below `root`. What is decided afterwards is decided about these bytes. Raises OperatorError."""
    if not root.is_dir():
        raise OperatorError(f"{root}: no such folder", "it holds profiles/, rules/ and, if you like, loaders/ and templates/")
    findings = _strays(root)
    if not any((root / name).is_dir() for name in FOLDERS):
        near = next((f"{finding.file} {finding.reason}" for finding in findings if not finding.warning), "")
        raise OperatorError(
            f"{root}: none of profiles/, rules/, loaders/, templates/ is in it", near or "name the folder above them"
        )
    texts: dict[str, str] = {}
    for path in sorted(path for name in FOLDERS for path in (root / name).rglob("*")):
        if any(_is_hidden(part) for part in path.relative_to(root).parts) or path.is_dir():
            continue
        _read(path, root, texts, findings)
    if len(texts) > MAX_FILES:
        raise OperatorError(f"{root}: {len(texts)} files, at most {MAX_FILES} are taken")
    return texts, findings


def _strays(root: Path) -> list[Finding]:
    """What lies beside the folders that count. Whatever may have been meant for one of them is no mere warning."""
    findings = []
    for path in sorted(root.iterdir()):
        is_paper = path.name.lower().startswith(PAPERS) and path.is_file()
        if not (_is_hidden(path.name) or is_paper or (path.name in FOLDERS and path.is_dir())):
            findings.append(_stray(path))
    return findings


def _stray(path: Path) -> Finding:
    near = difflib.get_close_matches(path.name.lower(), FOLDERS, n=1, cutoff=0.75)
    if path.name in FOLDERS:
        return Finding(path.name, 1, "is a file; expected a folder")
    if near:
        return Finding(path.name, 1, f"is in no folder that counts; did you mean {near[0]}/?")
    if path.suffix == ".toml":
        return Finding(
            path.name, 1, "is in no folder that counts; rules stand in rules/, profiles in profiles/, loaders in loaders/"
        )
    return Finding(path.name, 1, f"is in no folder that counts ({', '.join(FOLDERS)}) and is left out", warning=True)


def _is_hidden(name: str) -> bool:
    """Names of editors and of git."""
    return name.startswith(".") or name.endswith("~")


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
