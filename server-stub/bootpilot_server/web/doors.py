"""Who may come in by which address: boards by one, people by another, where the operator gave them two.

Told by the socket that a connection came in on, never by anything that a client says.
"""

from flask import Flask, request

from bootpilot_server.errors import ProblemError

# What boards use; everything else is for people.
WIRE = frozenset({"api", "artifacts"})


def set_up(app: Flask, operators: tuple[str, int]) -> None:
    """`operators` is the address and port of the socket for people, as the system names it."""

    def check() -> None:
        came_by = (request.environ.get("SERVER_NAME", ""), int(request.environ.get("SERVER_PORT") or 0))
        is_operator = came_by == operators
        if request.endpoint is not None and (request.blueprint in WIRE) == is_operator:
            where = "boards ask at another address of this server" if is_operator else "pages are at another address of it"
            raise ProblemError(404, f"there is nothing for you at this address: {where}")

    app.before_request(check)
