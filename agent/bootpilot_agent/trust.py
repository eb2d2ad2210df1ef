"""The one place that answers "do I carry out this plan?". No I/O here.

Plans are not signed yet: what holds is that the plan answers our own fresh question, asks for nothing this agent does not
know, and writes no disk on the word of a server that only DHCP named. Signatures over the plan's exact bytes will be checked
here, before anything else.
"""

from urllib.parse import urlsplit

from bootpilot_agent.errors import PlanError
from bootpilot_agent.plan import MAX_LOADERS, Action, DtbPolicy, Plan, Report
from bootpilot_agent.raw_settings import DHCP

UNSIGNED_HTTPS = "Plans are not signed yet; the server that gave this one is known by its certificate."
UNSIGNED_HTTP = (
    "Plans are not signed yet: the digests checked here come from an unauthenticated plan unless HTTPS with a pinned CA is"
    " configured. Whoever controls this network decides what runs here."
)


def check_plan(plan: Plan, report: Report, server_source: str, trust_dhcp: bool) -> None:
    """Raises PlanError that names the rule the plan breaks."""
    if plan.nonce != report.nonce or plan.boot_id != report.boot_id:
        raise PlanError(
            "the plan answers another question than ours (nonce or boot_id differ)", "a cache or a replayed answer?"
        )
    unknown = [feature for feature in needed_features(plan) if feature not in report.features]
    if unknown:
        raise PlanError(
            f"the plan requires {', '.join(unknown)}; this agent can {', '.join(report.features)}",
            "renew the loader on the card, or give this board another profile",
        )
    if (plan.boot or plan.local) and report.inventory.kexec.trouble:
        what = "boots a payload" if plan.boot else "starts the system on the disk"
        raise PlanError(
            f"the plan {what}, and here {report.inventory.kexec.trouble}", "the report said so; the server let it pass"
        )
    if plan.boot is not None and plan.boot.loader:
        _check_loader(plan.boot.loader, report.loader_builds)
    if plan.writes_disk and server_source == DHCP and not trust_dhcp:
        raise PlanError(
            "the plan writes a disk, and only DHCP named the server",
            "name the server as `server` in bootpilot.txt, or set `trust_dhcp = true` there",
        )


def _check_loader(build: str, before: tuple[str, ...]) -> None:
    """Loaders that start each other for ever would be a board that never boots."""
    chain = " -> ".join(before)
    if build in before:
        raise PlanError(
            f"the plan starts the loader {build}, which ran already since power-on ({chain})",
            "the server must give this board its payload now; see `bootpilot explain` there",
        )
    if len(before) >= MAX_LOADERS:
        raise PlanError(
            f"the plan starts the loader {build} after {len(before)} others since power-on ({chain})",
            f"at most {MAX_LOADERS} run in a row; name one newest loader on the server",
        )


def needed_features(plan: Plan) -> list[str]:
    """What an agent must be able to do to carry out this plan: its action, its device tree policy, and what it says itself."""
    needed = [str(plan.action), *plan.requires]
    if plan.action is Action.BOOT and plan.boot is not None and plan.boot.dtb_policy is not DtbPolicy.RUNNING:
        needed.append(f"dtb:{plan.boot.dtb_policy}")
    return list(dict.fromkeys(needed))


def describe_trust(server: str, pinned: bool) -> str:
    """What a person at the console must know about how far this boot can be trusted."""
    if urlsplit(server).scheme != "https":
        return UNSIGNED_HTTP
    return UNSIGNED_HTTPS if pinned else UNSIGNED_HTTPS + " Any public CA may vouch for it: none is pinned on the card."
