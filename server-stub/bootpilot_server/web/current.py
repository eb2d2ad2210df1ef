"""The one way from a request to the server that it is for."""

from typing import cast

from flask import current_app

from bootpilot_server.server import Server


def current_server() -> Server:
    return cast("Server", current_app.extensions["bootpilot"])
