"""What is wrong with the way a folder uses secrets. No I/O here."""

from collections.abc import Iterator, Mapping, Set

from bootpilot_server.deciding.recipes import Profile, Revision, Template
from bootpilot_server.deciding.rendering import secrets_in, secrets_of
from bootpilot_server.site_folder.findings import Finding
from bootpilot_server.site_folder.toml_lines import key_lines, line_of

REFERENCE = "secret:"
WHERE = 'a template names secrets: {{ secret("NAME") }} in templates/, which [[file]] template = "..." uses'
OTHERS = 0o077


def secret_findings(revision: Revision, texts: Mapping[str, str], declared: Set[str]) -> Iterator[Finding]:
    """Secrets that are not declared, that would stand where anybody reads them, or that others on the board could read."""
    library = {path.removeprefix("templates/"): text for path, text in texts.items() if path.startswith("templates/")}
    for name in library:
        for line, secret in secrets_in(name, library):
            if secret not in declared:
                known = f"declared are {', '.join(sorted(declared))}" if declared else "none is declared"
                yield Finding(f"templates/{name}", line, f"secret {secret} is not declared in secrets.toml; {known}")
    for path, payload in revision.payloads().items():
        yield from _misplaced(path, payload, key_lines(texts[path]))


def _misplaced(path: str, payload: Profile, lines: dict[tuple[str | int, ...], int]) -> Iterator[Finding]:
    if REFERENCE in payload.command_line:
        reason = "command_line: a secret never stands here: every program on the board can read it (/proc/cmdline); " + WHERE
        yield Finding(path, line_of(lines, ("command_line",)), reason)
    for index, file in enumerate(payload.files):
        if isinstance(file.source, str):
            if REFERENCE in file.source:
                yield Finding(path, line_of(lines, ("file", index, "content")), f"file[{index}].content: {WHERE}")
        elif isinstance(file.source, Template) and secrets_of(file.source) and file.mode & OTHERS:
            reason = f'file[{index}].mode: {file.mode:04o} lets all of the payload read a secret; mode = "0600" does not'
            yield Finding(path, line_of(lines, ("file", index, "path")), reason, warning=True)
