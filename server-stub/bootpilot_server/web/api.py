"""/v1/: what boards and their payloads say to the server. Reads the request, calls the step, writes the response; no rules."""

import time
from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import Connection

from bootpilot_agent.events import Source
from bootpilot_agent.fields import MAX_BODY_BYTES, FieldError, Json
from bootpilot_server.asking.answer import Question, answer
from bootpilot_server.asking.boot_channel import (
    MAX_LOG_BYTES,
    MAX_RECORDING_BYTES,
    take_done,
    take_events,
    take_failed,
    take_log,
    take_recording,
)
from bootpilot_server.asking.token_check import require_token
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.errors import ProblemError
from bootpilot_server.store.refusals import note_refusal
from bootpilot_server.web.artifact_api import send
from bootpilot_server.web.current import current_server

api = Blueprint("api", __name__, url_prefix="/v1")

# A body that is too large is read up to here and thrown away, so that the client gets to read the refusal.
MAX_DRAIN_BYTES = 16 << 20


@api.get("/")
def greet() -> Response:
    """By this an agent tells a boot server from a captive portal."""
    return jsonify(version=1, service="bootpilot")


@api.post("/boot")
def boot() -> Response:
    address = _address()
    try:
        question = Question(_body(MAX_BODY_BYTES), _token(), address, time.time())
        plan = answer(current_server(), question)
    except (FieldError, ProblemError) as error:
        note_refusal(current_server().database, address, str(error), time.time())
        raise
    return _json(plan)


@api.post("/boots/<boot_id>/events")
def events(boot_id: str) -> Response:
    body = _body(MAX_BODY_BYTES)
    response = _within_boot(boot_id, lambda connection, boot, now: take_events(connection, boot, body, now))
    current_server().intake.add(len(body))
    return response


@api.post("/boots/<boot_id>/log")
def append_log(boot_id: str) -> Response:
    body, source, offset = _body(MAX_LOG_BYTES), _source(), _offset()
    kept = current_server().log_retention
    return _within_boot(boot_id, lambda connection, boot, now: take_log(connection, boot, source, offset, body, kept))


@api.put("/boots/<boot_id>/recording")
def put_recording(boot_id: str) -> Response:
    body = _body(MAX_RECORDING_BYTES)
    kept = current_server().log_retention
    return _within_boot(boot_id, lambda connection, boot, now: take_recording(connection, boot, body, now, kept))


@api.post("/boots/<boot_id>/done")
def done(boot_id: str) -> Response:
    body = _body(MAX_BODY_BYTES)
    return _within_boot(boot_id, lambda connection, boot, now: take_done(connection, boot, body, now))


@api.post("/boots/<boot_id>/failed")
def failed(boot_id: str) -> Response:
    body = _body(MAX_BODY_BYTES)
    return _within_boot(boot_id, lambda connection, boot, now: take_failed(connection, boot, body, now))


@api.get("/boots/<boot_id>/files/<name>")
def secret_file(boot_id: str, name: str) -> Response:
    """A file that was rendered with a secret, for the boot itself: with its token, and never for a cache."""
    with current_server().database.reading() as connection:
        require_token(current_server(), connection, boot_id, _token(), time.time())
    try:
        file = current_server().secret_files.open(boot_id, name)
    except OSError as error:
        raise ProblemError(404, "this boot has no such file, or not any more; ask for a plan again") from error
    return send(file, name, "no-store")


def _within_boot(boot_id: str, take: Callable[[Connection, BootRecord, float], dict[str, Json]]) -> Response:
    """Run one step in a transaction, for the boot whose token the request carries."""
    now = time.time()
    with current_server().database.writing() as connection:
        record = require_token(current_server(), connection, boot_id, _token(), now)
        return jsonify(take(connection, record, now))


def _body(limit_bytes: int) -> bytes:
    """The request's body, whole. Raises ProblemError 413 when it is larger, declared or not, and 400 when it breaks off."""
    try:
        body = request.stream.read(limit_bytes + 1)
        declared = request.content_length or 0
        if len(body) < min(declared, limit_bytes):
            raise ProblemError(400, f"the body ended after {len(body)} of {declared} bytes", field="body")
        if len(body) <= limit_bytes:
            return body
        drained = 0
        while drained < MAX_DRAIN_BYTES and (chunk := request.stream.read(1 << 16)):
            drained += len(chunk)
    except OSError as error:
        raise ProblemError(400, f"the body could not be read: {error}", field="body") from error
    raise ProblemError(413, f"the body is larger than {limit_bytes} bytes", field="body")


def _token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _address() -> str:
    """The client's address; an IPv4 client of a socket for both families as plain IPv4."""
    return (request.remote_addr or "").removeprefix("::ffff:")


def _source() -> Source:
    given = request.args.get("source", Source.AGENT.value)
    if given not in list(Source):
        raise FieldError("source", "one of " + ", ".join(Source), given)
    return Source(given)


def _offset() -> int:
    given = request.args.get("offset", "")
    if not (given.isascii() and given.isdecimal() and len(given) <= 12):
        raise FieldError("offset", "the place in the log at which this piece begins", given)
    return int(given)


def _json(body: bytes) -> Response:
    response = Response(body, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
