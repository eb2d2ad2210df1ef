"""One page for people out of its template, with the headers that make whatever stands in it harmless."""

from flask import Response, render_template

# Nothing is loaded but our own style sheet, nothing runs, nobody frames it: what a board says cannot do anything here.
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def page_of(template: str, **values: object) -> Response:
    response = Response(render_template(template, **values), mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response
