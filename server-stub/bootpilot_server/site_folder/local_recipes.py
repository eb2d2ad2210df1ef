"""Reads [local] of profiles/NAME.toml, and the install keys of rules: what an installed system is and when it is made anew.

No I/O here; every fault is collected.
"""

from collections.abc import Iterator, Mapping

from bootpilot_agent.local_boot import PARTITION_PATTERN, Find, Otherwise
from bootpilot_server.deciding.recipes import Expects, LocalRecipe, Profile, Rule
from bootpilot_server.site_folder.findings import Finding, Table
from bootpilot_server.site_folder.toml_lines import key_lines, line_of

# No colon: automatic reinstalls and nodes' own profiles have keys with one.
KEY_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
MAX_FAILURES = 20


def read_local(table: Table) -> LocalRecipe:
    """The profile's table [local]; without one the system is found by its mark, and a board whose disk does not boot waits."""
    local = table.table("local")
    recipe = LocalRecipe(
        find=local.choice("find", Find, Find.MARK),
        partition=local.text("partition", "", pattern=f"({PARTITION_PATTERN})?", expected="UUID=, PARTUUID= or LABEL= and it"),
        expects=local.choice("expects", Expects, Expects.NONE),
        otherwise=local.choice("otherwise", Otherwise, Otherwise.WAIT),
        failures=local.number("failures", LocalRecipe.failures, least=1, most=MAX_FAILURES),
        rescue=local.text("rescue", ""),
    )
    if (recipe.find is Find.PARTITION) is not (recipe.partition != ""):
        local.fault("partition", 'goes with find = "partition", and that needs it')
    if (recipe.otherwise is Otherwise.RESCUE) is not (recipe.rescue != ""):
        local.fault("rescue", 'names the profile for otherwise = "rescue", and that needs it')
    if recipe.expects is Expects.INSTALLED:
        local.fault("expects", "an installed system says payload-up, or nothing")
    local.close()
    return recipe


def read_install_key(table: Table) -> str:
    return table.text("install", "", pattern=f"({KEY_PATTERN})?", expected="a key of letters, digits, dot, dash and underscore")


def install_findings(rules: Mapping[str, Rule], profiles: Mapping[str, Profile], texts: Mapping[str, str]) -> Iterator[Finding]:
    """A rule that installs says which install it means; one that does not install means none. A rescue writes no disk."""
    for name, rule in rules.items():
        profile = profiles.get(rule.profile)
        if profile is None or profile.writes_disk is (rule.install != ""):
            continue
        path = f"rules/{name}.toml"
        reason = f"install: profile {profile.name} writes no disk, so there is nothing to install"
        if profile.writes_disk:
            reason = (
                f'install: missing; profile {profile.name} writes a disk, so say install = "KEY"; another key installs anew'
            )
        yield Finding(path, line_of(key_lines(texts[path]), ("install",) if rule.install else ("profile",)), reason)
    for name, profile in profiles.items():
        rescue = profile.local.rescue
        if not rescue or (rescue in profiles and not profiles[rescue].writes_disk):
            continue
        path = f"profiles/{name}.toml"
        reason = f"local.rescue: there is no profiles/{rescue}.toml"
        if rescue in profiles:
            reason = f"local.rescue: profile {rescue} writes a disk, so it is no rescue"
        yield Finding(path, line_of(key_lines(texts[path]), ("local", "rescue")), reason)
