"""What the HTTP library raises, as the one error of the agent's transport. Pure but for the library's own names."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3

from bootpilot_agent import tls
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import TransportError


@contextmanager
def as_transport_error(url: str, deadline: Deadline) -> Iterator[None]:
    """Every way in which the HTTP library fails -> TransportError with the innermost reason."""
    try:
        yield
    except TransportError:
        raise
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        late = "not finished in time: " if deadline.passed() else ""
        raise TransportError(f"{url}: {late}{reason(error)}", _hint(error)) from error


def reason(error: BaseException) -> str:
    """The innermost cause in a few words."""
    cause = innermost(error)
    if isinstance(cause, TimeoutError):
        return "timed out"
    if isinstance(cause, ssl.SSLError):
        return tls.explain(cause)[0]
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause) or type(cause).__name__


def innermost(error: BaseException) -> BaseException:
    """Follows `reason` and the arguments of the wrappers of requests and urllib3, which bury the cause."""
    for inner in (getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            return innermost(inner)
    return error


def _hint(error: BaseException) -> str:
    cause = innermost(error)
    return tls.explain(cause)[1] if isinstance(cause, ssl.SSLError) else ""
