"""The pages of rollouts: how far each is, what holds it up, which nodes failed and why. Reads only."""

import time

from flask import Blueprint, Response

from bootpilot_server.deciding.rollouts import holds_up
from bootpilot_server.deciding.selection import to_words
from bootpilot_server.errors import ProblemError
from bootpilot_server.store import rollout_records
from bootpilot_server.web.current import current_server
from bootpilot_server.web.page import page_of

rollout_pages = Blueprint("rollouts", __name__)

MAX_LISTED = 100
MAX_TICKETS = 200


@rollout_pages.get("/rollouts")
def index() -> Response:
    """The newest first."""
    now = time.time()
    with current_server().database.reading() as connection:
        found = rollout_records.list_rollouts(connection)[::-1]
        tallies = [rollout_records.tally(connection, rollout, now) for rollout in found[:MAX_LISTED]]
    return page_of("rollouts.html", rows=[*zip(found, tallies, strict=False)], left=max(0, len(found) - MAX_LISTED))


@rollout_pages.get("/rollouts/<name>")
def rollout(name: str) -> Response:
    now = time.time()
    with current_server().database.reading() as connection:
        record = rollout_records.find_rollout(connection, name)
        if record is None:
            raise ProblemError(404, "there is no such rollout")
        tally = rollout_records.tally(connection, record, now)
        tickets = rollout_records.list_tickets(connection, name)
        history = rollout_records.list_history(connection, name)[::-1]
        created_at, created_by = rollout_records.creation_of(connection, name)
    # What a person comes for first: the failed ones, then those under way.
    tickets.sort(key=lambda ticket: (ticket.failed_at is None, ticket.well_at is not None))
    shown = {"tickets": tickets[:MAX_TICKETS], "left": max(0, len(tickets) - MAX_TICKETS), "history": history}
    created = {"created_at": created_at, "created_by": created_by}
    text = holds_up(record, tally, now)
    return page_of(
        "rollout.html", rollout=record, tally=tally, text=text, where=to_words(record.conditions), **shown, **created
    )
