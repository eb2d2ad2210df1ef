"""Reads profiles/NAME.toml into a Profile, collecting every fault. No I/O here."""

import re
from collections.abc import Mapping
from dataclasses import replace

from bootpilot_agent.fields import FieldError
from bootpilot_agent.install_order import ORDER_PATH
from bootpilot_agent.linked_folders import check_unlinked
from bootpilot_agent.plan import ARCHITECTURES, DtbPolicy, Watchdog, check_command_line
from bootpilot_server.deciding.recipes import ArtifactRef, Expects, FileRecipe, Profile, Setting, Template
from bootpilot_server.site_folder.artifact_refs import read_ref
from bootpilot_server.site_folder.findings import Table
from bootpilot_server.site_folder.install_recipes import read_install
from bootpilot_server.site_folder.local_recipes import read_local

# As the agent accepts them (bootpilot_agent.plan.PayloadFile).
FILE_PATH_PATTERN = r"(/(?!\.{1,2}(/|$))[^/\x00-\x1f\x7f]+)+"
FILE_MODE_PATTERN = r"0?[0-7]{3,4}"
MAX_DEADLINE_S = 7 * 86400
MAX_ATTEMPTS = 20
SETTING_PATTERN = r"[a-z][a-z0-9_]{0,63}"
NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"


def read_profile(name: str, table: Table, templates: Mapping[str, str]) -> Profile:
    """Faults go into the table's document; what comes back is whole only if there are none."""
    profile = replace(
        read_payload(name, table.choice("expects", Expects), table),
        files=tuple(_file(item, templates) for item in table.tables("file")),
        settings=_settings(table.table("settings")),
        requires=table.texts("requires", ()),
        writes_disk=table.flag("writes_disk", False),
        large_mib=table.number("large_mib", Profile.large_mib),
        record=table.flag("record", False),
        valid_s=table.number("valid_s", Profile.valid_s, least=1, most=86400),
        done_deadline_s=table.number("done_deadline_s", Profile.done_deadline_s, least=1, most=MAX_DEADLINE_S),
        attempts=table.number("attempts", Profile.attempts, least=1, most=MAX_ATTEMPTS),
        local=read_local(table),
        install=read_install(table.table("install"), templates) if table.has("install") else None,
    )
    for key in ("done_deadline_s", "attempts", "local", "install"):
        if table.has(key) and not profile.writes_disk:
            table.fault(key, "belongs to a profile that installs: one with writes_disk = true")
    table.close()
    _check_whole(profile, table)
    return profile


def read_payload(name: str, expects: Expects, table: Table) -> Profile:
    """What profiles and loaders have in common: what is booted, and how long that may take. The table stays open."""
    dtb = table.table("dtb")
    policy = dtb.choice("policy", DtbPolicy, DtbPolicy.RUNNING)
    payload = Profile(
        name=name,
        expects=expects,
        kernel=_artifact(table.table("kernel")),
        initrds=tuple(_artifact(item) for item in table.tables("initrd")),
        dtb_policy=policy,
        dtb=None if policy is DtbPolicy.RUNNING else _artifact(dtb),
        dtb_overlays=tuple(_artifact(item) for item in dtb.tables("overlay")),
        command_line=table.text("command_line", ""),
        arch=table.text("arch", "", pattern="|".join(("", *ARCHITECTURES)), expected="one of " + ", ".join(ARCHITECTURES)),
        watchdog=table.choice("watchdog", Watchdog, Watchdog.STOP),
        fetch_deadline_s=table.number("fetch_deadline_s", Profile.fetch_deadline_s, least=1, most=MAX_DEADLINE_S),
        payload_up_deadline_s=table.number(
            "payload_up_deadline_s", Profile.payload_up_deadline_s, least=1, most=MAX_DEADLINE_S
        ),
    )
    if payload.dtb_overlays and policy is not DtbPolicy.FILE_FIXUPS:
        dtb.fault("overlay", 'overlays need policy = "file+fixups"')
    dtb.close()
    return payload


def _check_whole(profile: Profile, table: Table) -> None:
    """The rules that look at more than one key."""
    if profile.writes_disk and profile.expects is not Expects.INSTALLED:
        table.fault(
            "expects", 'a profile with writes_disk = true must expect "installed", or a silent installer would never be noticed'
        )
    if profile.expects is Expects.INSTALLED and not profile.writes_disk:
        table.fault("expects", 'expects "installed", so it must say writes_disk = true')
    check_command_line_of(profile, table)
    paths = [file.path for file in profile.files]
    if profile.install and ORDER_PATH in paths:
        index = paths.index(ORDER_PATH)
        table.document.fault((*table.path, "file", index, "path"), f"file[{index}].path: {ORDER_PATH} is what [install] makes")
    for index, path in enumerate(paths):
        if path in paths[:index]:
            table.document.fault((*table.path, "file", index, "path"), f"file[{index}].path: {path} is written twice")


def check_command_line_of(payload: Profile, table: Table) -> None:
    """It must fit every architecture that the payload may be given to; without `arch` that is all of them."""
    for arch in [payload.arch] if payload.arch else ARCHITECTURES:
        try:
            check_command_line(payload.command_line, arch)
        except FieldError as error:
            table.fault("command_line", str(error).partition(": ")[2])
            break


def _artifact(table: Table) -> ArtifactRef:
    ref = read_ref(table)
    if table.path[-1] != "dtb":
        table.close()
    return ref


def _file(table: Table, templates: Mapping[str, str]) -> FileRecipe:
    path = table.text("path", pattern=FILE_PATH_PATTERN, expected="an absolute path without . and .. parts")
    if path.startswith("/bootpilot/"):
        table.fault("path", "/bootpilot/ belongs to the agent; choose another folder")
    try:
        check_unlinked("path", path)
    except FieldError as error:
        table.fault("path", str(error).partition(": ")[2])
    mode = table.text("mode", "0644", pattern=FILE_MODE_PATTERN, expected='octal mode bits as text, such as "0600"')
    if table.has("content") == table.has("template"):
        table.fault("path", "expected exactly one of content and template beside it")
    source: str | Template = table.text("content", "")
    if table.has("template"):
        name = table.text("template")
        source = Template(name, templates)
        if name not in templates:
            table.fault("template", f"there is no templates/{name}")
    table.close()
    return FileRecipe(path, int(mode or "0644", 8), source)


def _settings(table: Table) -> dict[str, Setting]:
    """Every key of [settings]: they are the templates' own, and whether each is used is looked at later."""
    found: dict[str, Setting] = {}
    for key, value in table.values.items():
        if not re.fullmatch(SETTING_PATTERN, key):
            table.fault(key, f"expected a name like {SETTING_PATTERN}")
        elif isinstance(value, str | int):
            found[key] = value
        else:
            found[key] = table.texts(key)
    return found


def is_name(text: str) -> bool:
    """File names become names in plans, pages and logs, so they are kept plain."""
    return re.fullmatch(NAME_PATTERN, text) is not None
