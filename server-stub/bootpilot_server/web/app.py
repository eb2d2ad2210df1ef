"""Puts the Flask application together. Knows which parts there are and nothing about what they do."""

from flask import Flask, Response

from bootpilot_server.server import Server
from bootpilot_server.web import problem_responses
from bootpilot_server.web.api import api
from bootpilot_server.web.artifact_api import artifact_api
from bootpilot_server.web.status import status


def create_app(server: Server, broken_requests: tuple[type[Exception], ...] = ()) -> Flask:
    """The application for one server. `broken_requests` are what its WSGI server raises when a body cannot be read."""
    app = Flask(__name__, static_folder="static")
    app.extensions["bootpilot"] = server
    for blueprint in (api, artifact_api, status):
        app.register_blueprint(blueprint)
    problem_responses.register(app, broken_requests)
    app.after_request(_harden)
    return app


def _harden(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
