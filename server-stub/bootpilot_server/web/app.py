"""Puts the Flask application together. Knows which parts there are and nothing about what they do."""

from flask import Flask, Response

from bootpilot_server.server import Server
from bootpilot_server.web import doors, page_filters, problem_responses
from bootpilot_server.web.api import api
from bootpilot_server.web.artifact_api import artifact_api
from bootpilot_server.web.rollout_pages import rollout_pages
from bootpilot_server.web.status import status


def create_app(
    server: Server, broken_requests: tuple[type[Exception], ...] = (), operators: tuple[str, int] | None = None
) -> Flask:
    """The application for one server. `broken_requests` are what its WSGI server raises when a body cannot be read;
    `operators` is the bound address of the socket that is for people only, if there is one.
    """
    app = Flask(__name__, static_folder="static")
    app.extensions["bootpilot"] = server
    for blueprint in (api, artifact_api, status, rollout_pages):
        app.register_blueprint(blueprint)
    page_filters.register(app)
    problem_responses.register(app, broken_requests)
    if operators:
        doors.set_up(app, operators)
    app.after_request(_harden)
    return app


def _harden(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
