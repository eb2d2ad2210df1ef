"""Every error as a problem document (RFC 9457): refusals with their status, faults of the server as 5xx, nothing as HTML."""

import json
import logging
from http import HTTPStatus

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, NotFound

from bootpilot_agent.fields import FieldError, Json
from bootpilot_server.errors import DatabaseUnavailableError, HomeError, ProblemError

log = logging.getLogger(__name__)

NOT_FOUND = "there is nothing at this address: boards use /v1/ and /artifacts/sha256/HEX, people start at /"
MEDIA_TYPE = "application/problem+json"
# A locked database is free again in seconds; a broken one takes a person, and boards wait with jitter anyway.
BUSY_RETRY_AFTER_S = 5


def register(app: Flask, broken_requests: tuple[type[Exception], ...]) -> None:
    for kind in broken_requests:
        app.register_error_handler(kind, _broken)
    app.register_error_handler(ProblemError, _refused)
    app.register_error_handler(FieldError, _malformed)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DatabaseUnavailableError, _unavailable)
    app.register_error_handler(HomeError, _unavailable)
    app.register_error_handler(Exception, _fault)


def problem(status: int, detail: str, *, retry_after_s: int | None = None, **extra: Json) -> Response:
    """A problem document as a response. `about:blank` says that the status is the whole type (RFC 9457, 4.2.1)."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}
    response = Response(json.dumps(document) + "\n", status, mimetype=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _refused(error: ProblemError) -> Response:
    return problem(error.status, error.detail, retry_after_s=error.retry_after_s, **error.extra)


def _malformed(error: FieldError) -> Response:
    return problem(400, str(error), field=error.field)


def _broken(error: Exception) -> Response:
    return problem(400, f"the request is broken: {error}")


def _http(error: HTTPException) -> Response:
    # werkzeug's own text guesses at a slip of the keyboard; here the client is a board, a script or an old bookmark.
    detail = NOT_FOUND if isinstance(error, NotFound) else error.description or ""
    response = problem(error.code or 500, detail)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "content-range"):
            response.headers[name] = value
    return response


def _unavailable(error: DatabaseUnavailableError | HomeError) -> Response:
    log.error("the server cannot keep its state: %s", error)
    return problem(503, "the server cannot read or write its state at the moment", retry_after_s=BUSY_RETRY_AFTER_S)


def _fault(error: Exception) -> Response:
    log.error("fault while answering", exc_info=error)
    return problem(500, "a fault of the server; its log says more", retry_after_s=BUSY_RETRY_AFTER_S)
