"""Whether a profile's [settings] and the templates it uses speak of the same names. No I/O here."""

import difflib
from collections.abc import Iterator, Mapping

from bootpilot_server.deciding.recipes import Profile
from bootpilot_server.deciding.rendering import settings_in, template_closure
from bootpilot_server.site_folder.findings import Finding
from bootpilot_server.site_folder.toml_lines import key_lines, line_of


def setting_findings(profiles: Mapping[str, Profile], texts: Mapping[str, str]) -> Iterator[Finding]:
    """Settings that a template names and the profile does not have, and those that no template names."""
    for name, profile in profiles.items():
        path = f"profiles/{name}.toml"
        yield from _of_profile(path, profile, key_lines(texts[path]))


def _of_profile(path: str, profile: Profile, lines: dict[tuple[str | int, ...], int]) -> Iterator[Finding]:
    wanted, known = _wanted(profile)
    for setting, place in wanted.items():
        if setting not in profile.settings:
            near = difflib.get_close_matches(setting, profile.settings.keys() - known, n=1)
            hint = f"; did you mean it with {near[0]}?" if near else ""
            yield Finding(path, line_of(lines, ("settings",)), f"settings.{setting}: missing; {place} uses it{hint}")
    for setting in profile.settings.keys() - known:
        yield Finding(path, line_of(lines, ("settings", setting)), f"settings.{setting}: no template uses it", warning=True)


def _wanted(profile: Profile) -> tuple[dict[str, str], set[str]]:
    """Settings that must be there, with a place that names each; and all that are named."""
    wanted: dict[str, str] = {}
    known: set[str] = set()
    for template in profile.templates:
        library = template_closure(template)
        for name in library:
            for line, setting, is_optional in settings_in(name, library):
                known.add(setting)
                if not is_optional:
                    wanted.setdefault(setting, f"{template.told(name)}:{line}")
    return wanted, known
