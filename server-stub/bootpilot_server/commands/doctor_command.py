"""`bootpilot doctor`: looks at everything in turn, says what it found, and what to do about it. Changes nothing."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from bootpilot_agent.fields import FieldError
from bootpilot_agent.plan import check_url
from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.config import Config
from bootpilot_server.errors import HomeError, OperatorError
from bootpilot_server.examining import dhcp_asking, fetching, folder
from bootpilot_server.examining.finding import Finding, Grade, bad, good, note
from bootpilot_server.server import Server, open_server, read_config


def doctor(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Exit status 1 if anything is bad; a note is none."""
    config = read_config(arguments.home)
    url = _checked(arguments.url)
    found = []
    for finding in examine(config, arguments, url):
        found.append(finding)
        if not terminal.as_json:
            hint = f"\n        do: {finding.hint}" if finding.hint else ""
            terminal.tell(None, f"{finding.grade.value:<6}  {finding.subject}: {finding.text}{hint}")
    wrong = sum(finding.grade is Grade.BAD for finding in found)
    notes = sum(finding.grade is Grade.NOTE for finding in found)
    text = f"{wrong} wrong, {notes} to note, {len(found) - wrong - notes} good"
    terminal.tell({"findings": [finding.to_json() for finding in found], "bad": wrong, "notes": notes}, text)
    return 1 if wrong else 0


def examine(config: Config, arguments: argparse.Namespace, url: str) -> Iterator[Finding]:
    """What is near first: each is shown as soon as it is known."""
    if not config.home.is_dir():
        hint = "`bootpilot serve` makes it; --home or BOOTPILOT_HOME names another"
        yield bad("folder", f"{config.home}: is not there", hint)
    else:
        yield from _examine_home(config, url, arguments.ca)
    if url:
        yield fetching.examine_name(url)
        yield fetching.examine_greeting(url, arguments.ca)
    else:
        yield note("server", "not asked as boards would", "--url http://NAME:PORT is what boards are told")
    if not arguments.no_dhcp:
        yield from dhcp_asking.examine_dhcp(arguments.interface or dhcp_asking.networks(), url)


def _examine_home(config: Config, url: str, ca: Path | None) -> Iterator[Finding]:
    shared = os.environ.get("BOOTPILOT_SECRET_FILE")
    yield folder.examine_room(config.home)
    key = folder.examine_key(config, Path(shared) if shared else None)
    yield key
    if not config.database.exists():
        hint = "`bootpilot serve` makes it, `bootpilot restore` brings it back"
        yield bad("database", f"{config.database}: is not there", hint)
        return
    whole = folder.examine_database(config.database)
    yield whole
    if Grade.BAD in (key.grade, whole.grade):
        return
    try:
        server = open_server(config, create=False)
    except HomeError as error:
        yield bad("database", error.message, error.hint)
        return
    try:
        yield folder.examine_clock(server.database)
        yield from _examine_artifacts(server, url, ca)
    finally:
        server.database.close()


def _examine_artifacts(server: Server, url: str, ca: Path | None) -> Iterator[Finding]:
    with server.database.reading() as connection:
        revision = server.revisions.in_force(connection)
    named = {ref.sha256 for payload in revision.payloads().values() for ref in payload.artifacts}
    stored = server.artifacts.describe(named)
    if missing := sorted(named - stored.keys()):
        text = f"{len(missing)} that the revision in force names are not there: {missing[0][:12]}…"
        yield bad("artifacts", text, "`bootpilot artifact add FILE` for each; boards wait until then")
    elif not named:
        yield note("artifacts", "no revision in force names any", "`bootpilot apply DIR` puts a folder of profiles in force")
    else:
        yield good("artifacts", f"all {len(named)} that the revision in force names are there")
    if stored:
        # The smallest is compared to its last byte.
        smallest = min(stored, key=lambda sha256: (stored[sha256].size_bytes, sha256))
        for base in (*([url] if url else []), *server.config.mirrors):
            yield fetching.examine_fetch(base, smallest, stored[smallest].size_bytes, ca)


def _checked(url: str | None) -> str:
    """Raises OperatorError."""
    if not url:
        return ""
    try:
        check_url("--url", url)
    except FieldError as error:
        raise OperatorError(str(error)) from error
    if url.startswith("/"):
        raise OperatorError(f"--url {url}: expected an absolute URL", "for example http://boot.example:8080")
    return url
