"""The steps of a boot, each told to the flight recorder as it begins and as it ends. Changes nothing of what they do."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from bootpilot_agent.errors import AgentError
from bootpilot_agent.flight import Flight, now_ms

if TYPE_CHECKING:
    from bootpilot_agent.main import Edges
    from bootpilot_agent.plan import BootPayload

# Asked for each jitter; a number by chance tells nothing.
SILENT = frozenset({"chance"})


def _describe_plan(plan: Any) -> str:
    return f"{plan.action}" + (f" {plan.boot.profile}" if plan.boot else f" {plan.wait.reason}" if plan.wait else "")


# What a step came to, in a few words.
DECIDED: Mapping[str, Callable[[Any], str]] = {
    "find_server": lambda result: str(result.found.way),
    "ask_plan": _describe_plan,
    "read_settings": lambda result: f"servers {', '.join(result.servers) or 'from DHCP'}",
    "tell_failure": lambda result: "the server knows" if result else "no server was told",
}


class RecordedEdges:
    """`edges` with a recorder that hears of every step; see `recorded`."""

    def __init__(self, edges: "Edges", flight: Flight) -> None:
        self._edges = edges
        self._flight = flight
        self._digests: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._edges, name)
        if name in SILENT or name.startswith("_") or not callable(step):
            return step
        return lambda *args, **options: self._take(name, step, args, options)

    def _take(self, name: str, step: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        began_ms = now_ms()
        self._tell(self._begin, name, args)
        try:
            result = step(*args, **options)
        except Exception as error:
            failure = f"{error.stage}: {error.message}" if isinstance(error, AgentError) else f"{type(error).__name__}: {error}"
            self._tell(self._flight.ended, name, now_ms() - began_ms, failure, "")
            raise
        self._tell(self._end, name, args, result, now_ms() - began_ms)
        return result

    def _tell(self, tell: Callable[..., None], *args: Any) -> None:
        try:
            tell(*args)
        except Exception as error:
            self._flight.fail(error)

    def _begin(self, name: str, args: tuple[Any, ...]) -> None:
        """Also what the kernel is asked, with the digests of the plan: the files themselves were checked against them."""
        self._flight.began(name)
        if name in ("fetch_payload", "take_system", "take_own_system"):
            self._digests = _digests_of(args[2]) if name == "fetch_payload" else {}
        elif name == "load_kexec":
            self._flight.called_kexec("load", args[0].command_line, self._digests)
        elif name == "jump":
            self._flight.called_kexec("jump", "", {})

    def _end(self, name: str, args: tuple[Any, ...], result: Any, ms: int) -> None:
        """What a step came to. What is secret about that is secret from here on."""
        decided = DECIDED[name](result) if name in DECIDED else ""
        if name == "read_settings":
            self._flight.learnt(result.enrol)
        elif name == "ask_plan":
            self._flight.learnt(result.token)
            self._flight.boot_id = result.boot_id
        elif name == "recover":
            decided = f"{'reboot' if args[0].reboot else 'the next try'} in {args[0].wait_s:.0f} s"
        self._flight.ended(name, ms, "", decided)


def _digests_of(boot: "BootPayload") -> dict[str, str]:
    """Of what the kernel is given, by name. Those of the plan's files are nobody's business."""
    files = {"kernel": boot.kernel, **{f"initrd {number}": one for number, one in enumerate(boot.initrds, start=1)}}
    files |= {f"overlay {number}": one for number, one in enumerate(boot.dtb_overlays, start=1)}
    return {name: one.sha256 for name, one in files.items()} | ({"dtb": boot.dtb.sha256} if boot.dtb else {})


def recorded(edges: "Edges", flight: Flight) -> "Edges":
    """The same steps, taken down."""
    return cast("Edges", RecordedEdges(edges, flight))
