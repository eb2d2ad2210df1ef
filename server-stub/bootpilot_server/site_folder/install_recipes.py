"""Reads [install] of profiles/NAME.toml into an InstallRecipe, by the installer's own checks; every fault is collected.

Every text in it is a template if it has the marks of one. What such a text comes to is known only for a board, so here a
stand-in takes its place; a text without marks is checked as it is. No I/O here.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Set

from bootpilot_agent.fields import FieldError, Fields, Json
from bootpilot_agent.install_order import (
    DEFAULT_TRANSPORTS,
    MAX_PARTITIONS,
    ROOT_ONLY,
    Compression,
    FileSystem,
    Guard,
    ImageKind,
    PartitionOrder,
    check_layout,
)
from bootpilot_agent.install_system import MAX_USERS, Addressing, SystemOrder, UserOrder
from bootpilot_agent.mark import MAX_AUTONOMOUS_S
from bootpilot_server.deciding.install_rendering import STAND_INS, order_json
from bootpilot_server.deciding.recipes import ArtifactRef, ImageRecipe, InstallRecipe, OrderPart, Profile, Template
from bootpilot_server.deciding.rendering import secrets_in, template_faults
from bootpilot_server.site_folder.artifact_refs import read_ref
from bootpilot_server.site_folder.findings import Finding, Table
from bootpilot_server.site_folder.toml_lines import Path, key_lines, line_of

GB = 10**9
MIB = 1 << 20
MARKS = re.compile(r"\{[{%#]")
HOSTNAME = "{{ node.name | default('board-' ~ node.id[:8]) }}"
# The mark's partition, and what a GPT takes at both ends.
OVERHEAD_MIB = 3
# A pattern that fits paths below /sys at all.
SYSFS_GLOB = r"[/*?\[].*|"

Templates = Mapping[str, str]
Values = dict[str, OrderPart]


def read_install(table: Table, templates: Templates) -> InstallRecipe:
    """The profile's table [install], which is there."""
    before = len(table.document.findings)
    image = _image(table.table("image"))
    guard = _guard(table.table("disk"), templates)
    partitions = _partitions(table, image.kind, templates)
    users = tuple(_user(item, templates) for item in table.tables("user"))
    if len(users) > MAX_USERS:
        table.fault("user", f"{len(users)} users, at most {MAX_USERS} are taken")
    after_s: int | None = None
    if table.has("autonomous_after_s"):
        after_s = table.number("autonomous_after_s", most=MAX_AUTONOMOUS_S)
    system = _system(table, templates) | {"users": users}
    table.close()
    order: Values = {"disk": guard, "partitions": partitions, "system": system, "autonomous_after_s": after_s}
    recipe = InstallRecipe(image, order)
    for template in recipe.templates:
        for _, reason in template_faults(template.name, template.library):
            table.document.fault(_path_of(template), f"{template.stands_in}: {reason}")
    if all(finding.warning for finding in table.document.findings[before:]):
        _check_as_installer(table, recipe)
        _warn_of_size(table, recipe)
    return recipe


def install_secret_findings(profiles: Mapping[str, Profile], texts: Mapping[str, str], declared: Set[str]) -> Iterator[Finding]:
    """Secrets that [install] names itself and that are not declared. What it includes is looked at where that stands."""
    known = f"declared are {', '.join(sorted(declared))}" if declared else "none is declared"
    for name, profile in profiles.items():
        path = f"profiles/{name}.toml"
        for template in profile.install.templates if profile.install else ():
            for _, secret in secrets_in(template.name, template.library):
                if secret not in declared:
                    reason = f"{template.stands_in}: secret {secret} is not declared in secrets.toml; {known}"
                    yield Finding(path, line_of(key_lines(texts[path]), _path_of(template)), reason)


def _image(table: Table) -> ImageRecipe:
    compression = table.choice("compression", Compression) if table.has("compression") else None
    kind = table.choice("kind", ImageKind)
    block_map = None
    if table.has("block_map"):
        block_map = _ref(table.table("block_map"))
        if kind is not ImageKind.DISK:
            table.fault("block_map", f'goes with kind = "{ImageKind.DISK}"')
    return ImageRecipe(kind, _ref(table), compression, block_map)


def _ref(table: Table) -> ArtifactRef:
    ref = read_ref(table)
    table.close()
    return ref


def _guard(table: Table, templates: Templates) -> Values:
    guard: Values = {
        "transports": table.texts("transports", tuple(transport.value for transport in DEFAULT_TRANSPORTS)),
        "min_bytes": table.number("min_gb", 0, most=1 << 20) * GB,
        **{key: _text(table, key, "", templates) for key in ("model", "serial", "path")},
        "wipe": table.flag("wipe", False),
    }
    path = guard["path"]
    if isinstance(path, str) and not re.fullmatch(SYSFS_GLOB, path):
        table.fault("path", f"no disk fits {path!r}: paths below /sys begin with /, such as /devices/*", warning=True)
    table.close()
    return guard


def _partitions(table: Table, kind: ImageKind, templates: Templates) -> OrderPart:
    tables = table.tables("partition")
    if not tables:
        rooted = () if kind is ImageKind.DISK else ROOT_ONLY
        return tuple(dict(partition.to_json()) for partition in rooted)  # type: ignore[arg-type]
    if len(tables) > MAX_PARTITIONS:
        table.fault("partition", f"{len(tables)} partitions, at most {MAX_PARTITIONS} are taken")
    return tuple(_partition(item, templates) for item in tables)


def _partition(table: Table, templates: Templates) -> Values:
    partition: Values = {
        "mount": table.text("mount", ""),
        "fs": table.choice("fs", FileSystem, FileSystem.EXT4).value,
        "size_mib": table.number("size_mib", 0, most=1 << 30),
        "label": _text(table, "label", "", templates),
    }
    table.close()
    return partition


def _user(table: Table, templates: Templates) -> Values:
    user: Values = {
        "name": _text(table, "name", None, templates),
        "password": _text(table, "password", "!", templates),
        "ssh_keys": _texts(table, "ssh_keys", templates),
        "sudo": table.flag("sudo", False),
    }
    table.close()
    return user


def _system(table: Table, templates: Templates) -> Values:
    texts = {key: _text(table, key, "", templates) for key in ("address", "gateway", "console", "kernel_arguments")}
    texts |= {key: _text(table, key, "", templates) for key in ("first_boot", "user_data")}
    return {
        "hostname": _text(table, "hostname", HOSTNAME, templates),
        "addressing": table.choice("addressing", Addressing, Addressing.DHCP).value,
        **texts,
        "dns": _texts(table, "dns", templates),
        "report": table.flag("report", True),
    }


def _text(table: Table, key: str, default: str | None, templates: Templates) -> OrderPart:
    return _as_template((*table.path, key), table.text(key, default), templates)


def _texts(table: Table, key: str, templates: Templates) -> OrderPart:
    return tuple(_as_template((*table.path, key, index), text, templates) for index, text in enumerate(table.texts(key, ())))


def _as_template(path: Path, text: str, templates: Templates) -> OrderPart:
    """The text itself where there is nothing to render, so that it is checked, and stays, as it is."""
    if not MARKS.search(text):
        return text
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    # No file of templates/ has such a name.
    name = f"//{place}"
    return Template(name, {**templates, name: text}, place)


def _path_of(template: Template) -> Path:
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", template.stands_in))


def _check_as_installer(table: Table, recipe: InstallRecipe) -> None:
    """Each part by itself, so that one fault does not hide another."""
    order = order_json(recipe, None, lambda key, _: STAND_INS.get(key, ""))
    disk, system = Fields(_object(order["disk"])), _object(order["system"])
    users, partitions = _objects(system.pop("users")), _objects(order["partitions"])
    _try(table, ("disk",), lambda: Guard.from_fields(disk))
    _try(table, (), lambda: SystemOrder.from_fields(Fields(system | {"users": []})))
    for index, user in enumerate(users):
        _try(table, ("user", index), lambda user=user: UserOrder.from_fields(Fields(user)))  # type: ignore[misc]
    laid_out: list[PartitionOrder] = []
    for index, partition in enumerate(partitions):
        _try(
            table,
            ("partition", index),
            lambda partition=partition: laid_out.append(PartitionOrder.from_fields(Fields(partition))),  # type: ignore[misc]
        )
    if len(laid_out) == len(partitions):
        _try(table, ("partition",), lambda: check_layout(recipe.image.kind, tuple(laid_out)))


def _try(table: Table, place: Path, check: Callable[[], object]) -> None:
    try:
        check()
    except FieldError as error:
        key = error.field.partition("[")[0].rpartition(".")[2]
        below = (*place, key) if place != ("partition",) else place
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in (*table.path, *below)).removeprefix(".")
        table.document.fault((*table.path, *below), f"{name}: {str(error).partition(': ')[2]}")


def _warn_of_size(table: Table, recipe: InstallRecipe) -> None:
    """A disk that is just large enough for the guard and too small for the rest."""
    disk, partitions = recipe.order["disk"], recipe.order["partitions"]
    least = disk["min_bytes"] if isinstance(disk, Mapping) else 0
    if not isinstance(least, int) or not least or not isinstance(partitions, tuple):
        return
    sizes = [part["size_mib"] for part in partitions if isinstance(part, Mapping)]
    needed = MIB * (OVERHEAD_MIB + sum(size for size in sizes if isinstance(size, int)))
    needed = max(needed, recipe.image.artifact.unpacked_bytes)
    if needed > least:
        reason = f"install.disk.min_gb: a disk of {least // GB} GB fits this, and {needed / GB:.1f} GB are to be written"
        table.document.fault((*table.path, "disk", "min_gb"), reason, warning=True)


def _object(value: Json) -> dict[str, Json]:
    return dict(value) if isinstance(value, dict) else {}


def _objects(value: Json) -> list[dict[str, Json]]:
    return [_object(item) for item in value] if isinstance(value, list) else []
