"""The story of a boot on one screen, and the loop around it. Touches nothing itself: what acts on the world is in `Edges`."""

from typing import TYPE_CHECKING, ParamSpec, Protocol

from bootpilot_agent.errors import AgentError
from bootpilot_agent.events import EventName
from bootpilot_agent.evidence import Evidence
from bootpilot_agent.journal import Journal
from bootpilot_agent.local_boot import LocalBoot
from bootpilot_agent.plan import Action, BootPayload, LastAttempt, Plan, Wait
from bootpilot_agent.report import Boot, new_boot_id
from bootpilot_agent.settings import Settings

if TYPE_CHECKING:  # what a boot needs late, or not at all, is imported late: edges.py
    from collections.abc import Callable

    from bootpilot_agent.conversation import Conversation
    from bootpilot_agent.payload import Payload
    from bootpilot_agent.recover import Recovery

FLUSH_S = 5.0
Arguments = ParamSpec("Arguments")


class Edges(Protocol):
    """The steps of a boot, as they act on the world. Each raises AgentError; doing one again after a failure is harmless."""

    def load_drivers(self) -> None: ...
    def read_settings(self) -> Settings: ...
    def read_evidence(self) -> tuple[Evidence, ...]: ...
    def start_network(self, settings: Settings, evidence: tuple[Evidence, ...]) -> None: ...
    def find_server(self, settings: Settings) -> "Conversation": ...
    def ask_plan(self, conversation: "Conversation", settings: Settings, boot: Boot, journal: Journal) -> Plan: ...
    def wait(self, wait: Wait, run: Boot) -> None: ...
    def check_fit(self, payload: BootPayload) -> None: ...
    def take_system(self, conversation: "Conversation", plan: Plan, local: LocalBoot) -> "Payload": ...
    def take_own_system(self, last_attempt: LastAttempt | None) -> "Payload | None": ...
    def fetch_payload(self, conversation: "Conversation", plan: Plan, boot: BootPayload, journal: Journal) -> "Payload": ...
    def load_kexec(self, payload: "Payload") -> None: ...
    def hand_over(self, plan: Plan, journal: Journal) -> None: ...
    def leave(self) -> None: ...
    def jump(self) -> None: ...
    def reboot(self) -> None: ...
    def power_off(self) -> None: ...
    def tell_failure(self, error: AgentError, journal: Journal) -> bool: ...
    def tell_own_failure(self, error: AgentError) -> None: ...
    def recover(self, recovery: "Recovery") -> bool: ...
    def chance(self) -> float: ...


def boot(edges: Edges, run: Boot, journal: Journal) -> None:
    """One run, from the first driver to the payload. Raises AgentError, or does not come back at all."""
    journal.add(EventName.STARTED)
    edges.load_drivers()
    settings = edges.read_settings()
    edges.start_network(settings, edges.read_evidence())
    conversation = edges.find_server(settings)
    journal.add(EventName.NETWORK_UP, interface=conversation.lease.interface, address=conversation.lease.address)
    plan = edges.ask_plan(conversation, settings, run, journal)
    journal.add(EventName.IDENTIFIED, node_id=plan.node_id)
    while plan.wait is not None:
        edges.wait(plan.wait, run)
        plan = edges.ask_plan(conversation, settings, run, journal)
    journal.add(EventName.PLANNED, action=plan.action)
    if plan.local is not None:
        payload = edges.take_system(conversation, plan, plan.local)
    elif plan.boot is not None:
        edges.check_fit(plan.boot)
        payload = edges.fetch_payload(conversation, plan, plan.boot, journal)
        journal.add(EventName.FETCHED)
    else:
        journal.flush(FLUSH_S)
        return edges.power_off() if plan.action is Action.POWEROFF else edges.reboot()
    edges.load_kexec(payload)
    journal.add(EventName.LOADED)
    edges.hand_over(plan, journal)
    return edges.jump()


def keep_booting(edges: Edges) -> int:
    """Try for ever. Comes back with the last failure's exit code when `edges.recover` wants no further try, or fails itself.

    Then the loader's /init says so, waits and reboots, which is the recovery that needs nothing of this program.
    """
    last_attempt: LastAttempt | None = None
    failure = AgentError("")
    failures = 0
    while True:
        run, journal = Boot(new_boot_id(), last_attempt), Journal()
        before = failure
        try:
            boot(edges, run, journal)
        except AgentError as error:
            failure = error
        except Exception as error:
            failure = unexpected(error)
        failures = failures + 1 if type(failure) is type(before) else 1
        told = guarded(edges.tell_failure, failure, journal)
        journal.close()
        last_attempt = None if told else to_last_attempt(run, failure)
        if not guarded(recover_from, failure, failures, edges):
            return failure.exit_code
        guarded(start_alone, edges, last_attempt)


def start_alone(edges: Edges, last_attempt: LastAttempt | None) -> bool:
    """Start the system on the board's own disk, if its mark says so and no usable plan has come for so long. Comes back only
    where it is not time yet, or where that fails too.
    """
    try:
        payload = edges.take_own_system(last_attempt)
        if payload is not None:
            edges.load_kexec(payload)
            edges.leave()
            edges.jump()
    except Exception as error:
        edges.tell_own_failure(error if isinstance(error, AgentError) else unexpected(error))
    return True


def guarded(step: "Callable[Arguments, bool]", *args: "Arguments.args", **kwargs: "Arguments.kwargs") -> bool:
    """A step after a failure. False also where it fails itself; then its traceback is on the console."""
    try:
        return step(*args, **kwargs)
    except Exception:
        import traceback

        traceback.print_exc()
        return False


def recover_from(failure: AgentError, failures: int, edges: Edges) -> bool:
    """As the table says. Imported here: a boot that works never looks into it."""
    from bootpilot_agent.recover import recover

    return edges.recover(recover(failure, failures, edges.chance))


def unexpected(error: Exception) -> AgentError:
    """A fault of this program, as an error like the others; the traceback stays with it as its cause."""
    failure = AgentError(
        f"{type(error).__name__}: {error}", "a fault of the agent itself; please report it with the lines above"
    )
    failure.__cause__ = error
    return failure


def to_last_attempt(run: Boot, failure: AgentError) -> LastAttempt:
    """A failure that no server heard of, for the next report."""
    return LastAttempt(run.boot_id, failure.stage, failure.message[:2000], failure.hint[:2000])
