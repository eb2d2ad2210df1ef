"""Asks the boot server for a plan and reads its answer. Decides nothing about the plan itself (trust.py does).

A lost answer costs nothing: the same bytes are sent again, and the server renders the stored plan once more.
"""

import email.utils
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from bootpilot_agent.deadline import Chance, Deadline, clamp_retry_after, growing_waits, jittered
from bootpilot_agent.errors import AgentError, PlanError, QuestionRefusedError, ServerError, TransportError
from bootpilot_agent.fields import FieldError
from bootpilot_agent.plan import Plan, Report, problem_detail
from bootpilot_agent.transport import Answer, Transport

ASK_S = 30.0
BUSY = (429, 503)
# A busy server that names no time.
BUSY_WAIT_S = 10.0
# A 4xx is mended by a person; asking again soon only fills logs.
REFUSED_WAIT_S = 60.0


@dataclass(frozen=True)
class PlanClient:
    """One server over one connection. `pause` sleeps."""

    transport: Transport
    server: str
    arch: str
    say: Callable[[str], None]
    chance: Chance
    pause: Callable[[float], None] = time.sleep

    def ask(self, report: Report, token: str, patience_s: float) -> Plan:
        """The plan for this report. `token` is that of the boot's earlier plan, "" for the first question. For `patience_s`
        answers may get lost, or the server be busy.

        Raises QuestionRefusedError (409), ServerError, PlanError, TransportError.
        """
        body = json.dumps(report.to_json()).encode()
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        deadline = Deadline.after(patience_s)
        waits = growing_waits(1.0, 30.0, self.chance)
        while True:
            try:
                answer = self.transport.ask(
                    "POST", f"{self.server}/v1/boot", deadline=Deadline.after(ASK_S), headers=headers, body=body
                )
                if answer.status not in BUSY and answer.status < 500:
                    return read_plan(answer, self.arch)
                failure: AgentError = server_error(answer)
                wait_s = self._busy(answer, next(waits))
            except TransportError as error:
                wait_s, failure = next(waits), error
            if wait_s >= deadline.remaining_s():
                raise failure
            self.say(f"{failure.message}; the same question again in {wait_s:.0f} s")
            self.pause(wait_s)

    def _busy(self, answer: Answer, otherwise_s: float) -> float:
        asked_s = retry_after_s(answer)
        return otherwise_s if asked_s is None else jittered(asked_s, self.chance)


def read_plan(answer: Answer, arch: str) -> Plan:
    """The plan in an answer that is no 5xx or 429. Raises QuestionRefusedError, ServerError, PlanError."""
    if answer.status == 409:
        raise QuestionRefusedError(problem_detail(answer.body) or "the server refuses this question (HTTP 409)")
    if answer.status != 200:
        raise server_error(answer)
    try:
        return Plan.from_json(answer.body, arch)
    except FieldError as error:
        raise PlanError(str(error), "the server's plan breaks the protocol; see its log for this boot") from error


def server_error(answer: Answer) -> ServerError:
    """What a server says instead of a plan, with the time after which to ask again."""
    detail = problem_detail(answer.body) or f"{answer.headers.get('content-type', 'no type')}, {len(answer.body)} bytes"
    wait_s = retry_after_s(answer)
    if wait_s is None:
        wait_s = BUSY_WAIT_S if answer.status in BUSY else REFUSED_WAIT_S if answer.status < 500 else None
    hint = "" if answer.status >= 500 or answer.status in BUSY else "the request itself was refused; this needs a person"
    return ServerError(f"HTTP {answer.status} from the boot server: {detail}", hint, wait_s)


def retry_after_s(answer: Answer) -> float | None:
    """Retry-After in seconds, between one second and one hour; None if there is none that can be read.

    A date is taken relative to the answer's own Date: this board's clock may be wrong (RFC 9110 section 10.2.3).
    """
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return clamp_retry_after(float(text))
    try:
        then = email.utils.parsedate_to_datetime(text)
        now = email.utils.parsedate_to_datetime(answer.headers.get("date", ""))
        return clamp_retry_after((then - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
