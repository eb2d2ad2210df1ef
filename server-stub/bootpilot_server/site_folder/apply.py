"""Puts what was checked in force as the next revision: whole, and only in place of the revision that it was compared with."""

import time
from dataclasses import dataclass
from pathlib import Path

from bootpilot_server.errors import OperatorError
from bootpilot_server.server import Server
from bootpilot_server.site_folder.check import Checked, check_folder, check_texts
from bootpilot_server.store import revision_records


@dataclass(frozen=True)
class Applied(Checked):
    """The number of the revision in force afterwards, and whether this made it."""

    number: int
    is_new: bool


def apply_folder(root: Path, server: Server, author: str = "") -> Applied:
    """Make the folder the next revision, if nothing is wrong with it. Raises OperatorError if there is no such folder."""
    checked = check_folder(root, server.artifacts, server.secrets.references().keys())
    with server.database.reading() as connection:
        base = revision_records.current_number(connection)
    return put_in_force(checked, server, base, author)


def put_in_force(checked: Checked, server: Server, base: int, author: str, note: str = "") -> Applied:
    """Nothing is changed if something is wrong with it. Raises OperatorError if `base` is no longer the revision in force:
    what the person saw of the consequences would be wrong.
    """
    with server.database.writing() as connection:
        number = revision_records.current_number(connection)
        if checked.is_usable and number != base:
            raise OperatorError(_overtaken(revision_records.read_entry(connection, number), base), "look again, and apply then")
        is_new = False
        if checked.is_usable:
            _refuse_gone(checked, server)
            number, is_new = revision_records.add_revision(connection, checked.texts, time.time(), author, note)
    return Applied(**vars(checked), number=number, is_new=is_new)


def check_revision(server: Server, number: int) -> Checked:
    """An earlier revision, as it would be today: an artifact may be gone by now. Raises OperatorError if there is none."""
    with server.database.reading() as connection:
        texts = revision_records.read_texts(connection, number)
    if texts is None:
        raise OperatorError(f"there is no revision {number}", "`bootpilot revisions` lists them")
    return check_texts(texts, server.artifacts, server.secrets.references().keys())


def _refuse_gone(checked: Checked, server: Server) -> None:
    """With the database to itself, in which artifacts go too: what was there when it was checked may have been pruned since."""
    refs = {ref.sha256: ref for payload in checked.revision.payloads().values() for ref in payload.artifacts}
    if gone := sorted(refs.keys() - server.artifacts.describe(refs).keys()):
        text = f"artifact {refs[gone[0]].name or gone[0]} was removed from this server just now"
        raise OperatorError(text, "`bootpilot artifact add` it again")


def _overtaken(entry: revision_records.Entry | None, base: int) -> str:
    if entry is None:
        return f"revision {base} is gone"
    when = time.strftime("%H:%M:%S UTC", time.gmtime(entry.applied_at))
    by = f" by {entry.applied_by}" if entry.applied_by else ""
    return f"revision {entry.number} was put in force{by} at {when}, and this was compared with revision {base}"
