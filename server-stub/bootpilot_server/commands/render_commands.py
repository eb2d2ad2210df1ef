"""`bootpilot render` and `bootpilot secret`: what a board's files would be, and whether secrets can be had. Shows none."""

import argparse

from bootpilot_agent.fields import Json
from bootpilot_server.asking.secret_reading import read_secret
from bootpilot_server.commands.explain import Explanation, explain, find_by_text
from bootpilot_server.commands.terminal import Terminal, columns
from bootpilot_server.deciding.decision import Catalogue
from bootpilot_server.deciding.fitting import render_files
from bootpilot_server.deciding.recipes import Profile, Revision
from bootpilot_server.deciding.rendering import RenderedFile, RenderError, one_line, secrets_of
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server, opened_server, read_config
from bootpilot_server.site_folder import check


def render(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """With secrets redacted, so it may be shown to anybody."""
    with opened_server(read_config(arguments.home), create=False) as server:
        node = find_by_text(server, arguments.node)
        revision = _revision(server, arguments)
        told = explain(server, node)
        profile = _profile(revision, arguments.profile or _given(told, revision))
        try:
            stored = server.artifacts.describe({ref.sha256 for ref in profile.artifacts})
            catalogue = Catalogue(stored, server.config.mirrors, server.secrets.at_hand().redacted())
            files = render_files(told.facts, profile, catalogue)
        except RenderError as error:
            raise OperatorError(f"profile {profile.name}: {error}", "a board would wait with render-error") from error
    if arguments.path:
        files = tuple(file for file in files if file.path == arguments.path)
        if not files:
            raise OperatorError(f"profile {profile.name} has no file {arguments.path}")
    shown: list[Json] = [
        {
            "path": file.path,
            "mode": f"{file.mode:04o}",
            "secret": file.secret,
            "content": file.content.decode("utf-8", "replace"),
        }
        for file in files
    ]
    text = _lines(files[0]) if arguments.path else "\n".join(_told(file) for file in files)
    terminal.tell({"node_id": node.id, "profile": profile.name, "files": shown}, text or f"profile {profile.name} has no files")
    return 0


def secret_list(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Which secrets there are, where each comes from and who uses it; with --try whether it can be had now."""
    with opened_server(read_config(arguments.home), create=False) as server:
        references = server.secrets.references()
        with server.database.reading() as connection:
            revision = server.revisions.in_force(connection)
    users = _users(revision)
    failures = {name: read_secret(reference).failure for name, reference in references.items()} if arguments.read else {}
    failures |= {name: f"secret {name} is not declared in secrets.toml" for name in users.keys() - references.keys()}
    data: list[Json] = []
    rows = []
    for name in sorted(references.keys() | users.keys()):
        source = references[name].told if name in references else "-"
        state = failures.get(name, "not tried") or "can be had"
        data.append({"name": name, "source": source, "profiles": [*users.get(name, [])], "failure": failures.get(name)})
        rows.append([name, source, ", ".join(users.get(name, [])) or "-", state])
    terminal.tell(data, columns(("NAME", "FROM", "USED BY", "STATE"), rows) if rows else "no secret is declared or used")
    return 1 if any(failures.values()) else 0


def _revision(server: Server, arguments: argparse.Namespace) -> Revision:
    """The one in force, or the folder that is given instead of it."""
    if arguments.site is None:
        with server.database.reading() as connection:
            return server.revisions.in_force(connection)
    checked = check.check_folder(arguments.site, server.artifacts, server.secrets.references().keys())
    if not checked.is_usable:
        faults = [str(finding) for finding in checked.findings if not finding.warning]
        raise OperatorError(f"{arguments.site}: {faults[0]}", "`bootpilot check` shows all that is wrong")
    return checked.revision


def _given(told: Explanation, revision: Revision) -> str:
    """The profile that the node would get, or the one that its rule means where it does not get it."""
    by_rule = {rule.name: rule.profile for rule in revision.rules}
    return told.decision.profile or by_rule.get(told.decision.rule, "")


def _profile(revision: Revision, name: str) -> Profile:
    if not name:
        raise OperatorError("this node would get no profile", "--profile names one; `bootpilot explain` says why it gets none")
    if name not in revision.profiles:
        raise OperatorError(f"there is no profile {name}", "known: " + (", ".join(sorted(revision.profiles)) or "none"))
    return revision.profiles[name]


def _users(revision: Revision) -> dict[str, list[str]]:
    """Secret -> the profiles whose files use it."""
    found: dict[str, list[str]] = {}
    for name, profile in sorted(revision.profiles.items()):
        for secret in sorted({secret for template in profile.templates for secret in secrets_of(template)}):
            found.setdefault(secret, []).append(name)
    return found


def _told(file: RenderedFile) -> str:
    secret = ", holds a secret: redacted here" if file.secret else ""
    return f"== {file.path} (mode {file.mode:04o}{secret})\n{_lines(file)}"


def _lines(file: RenderedFile) -> str:
    """The content, with what a terminal would act on replaced."""
    text = file.content.decode("utf-8", "replace")
    return "\n".join("\t".join(one_line(piece) for piece in line.split("\t")) for line in text.split("\n"))
