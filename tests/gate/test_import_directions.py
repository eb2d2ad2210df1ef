"""The arrows between folders and modules, checked on the source: who may import whom."""

import re
import sys

import pytest

from tests.gate.imports import OUR_PACKAGES, Module, modules, top_level

# What a module that says "No I/O here" must stay away from: devices, other programs, the network, the clock, chance.
IMPURE_MODULES = frozenset(
    {
        "asyncio",
        "fcntl",
        "glob",
        "http",
        "multiprocessing",
        "netifaces",
        "os",
        "pyudev",
        "random",
        "requests",
        "secrets",
        "select",
    }
    | {"selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time"}
    | {"urllib.request", "uuid.uuid4", "flask", "gunicorn", "sqlalchemy.create_engine"}
)
# The nouns and decisions that must never lose that sentence.
ALWAYS_PURE = (
    "bootpilot_agent.errors",
    "bootpilot_agent.events",
    "bootpilot_agent.evidence",
    "bootpilot_agent.fields",
    "bootpilot_agent.inventory",
    "bootpilot_agent.plan",
    "bootpilot_agent.settings",
    "bootpilot_server.deciding.decide",
    "scripts.lab.guest",
    "scripts.lab.machines",
    "scripts.lab.verdict",
    "scripts.sdcard.boards",
    "scripts.sdcard.layout",
)
# Our packages that each package may import besides itself. The agent is frozen alone, so it may import none.
ALLOWED_PACKAGES = {
    "bootpilot_agent": frozenset[str](),
    "bootpilot_install": frozenset({"bootpilot_agent"}),
    "bootpilot_server": frozenset({"bootpilot_agent"}),
    "initramfs": frozenset({"bootpilot_agent", "bootpilot_install"}),
    "scripts": frozenset({"bootpilot_agent", "initramfs"}),
}
# Of the agent, others take what is pure; builders and scripts also take its door to other programs.
AGENT_EDGES_ALLOWED = {"scripts": {"bootpilot_agent.run"}, "initramfs": {"bootpilot_agent.run"}, "bootpilot_server": set[str]()}
# These run the agent in their own process, on a recorded board: its steps are what they are about.
AGENT_RUNNERS = {
    f"scripts.replaying.{name}" for name in ("in_process", "observer", "played_network", "played_programs", "shims")
}
# Tells what the agent would report of a captured board.
AGENT_READERS = {"scripts.capturing.tree"}
# Frozen with the agent and the installer: their own first lines, kept outside their packages.
FROZEN_ENTRIES = {"initramfs.agent_entry", "initramfs.install_entry"}
# One door to other programs per folder, so that there is one place for time limits and environments.
SUBPROCESS_DOORS = {
    "bootpilot_agent.run",
    "bootpilot_server.artifacts.zstd_program",
    "bootpilot_server.asking.secret_reading",
    "bootpilot_server.importing.programs",
    "initramfs.command",
    "scripts.lab.boot_server",
    "scripts.lab.disk_caches",
    "scripts.lab.vm",
}
# The library behind each edge has one module that knows it.
LIBRARY_DOORS = {
    "requests": {f"bootpilot_agent.{name}" for name in ("transport", "bound_connections", "http_failures")},
    "netifaces": {"bootpilot_agent.links"},
}
# What ties the server to one kind of database is known in one place, so that another kind needs no search.
DIALECT = "bootpilot_server.store.dialect"


def ours(module: Module) -> set[str]:
    """The modules of ours that this one imports (a name that is imported from a module counts as the module)."""
    known = modules()
    return {name for name in module.imports if name in known} - {module.name}


def production() -> list[Module]:
    return [module for module in modules().values() if module.package in ALLOWED_PACKAGES]


def test_there_is_something_to_check() -> None:
    assert {module.package for module in production()} >= {"bootpilot_agent", "initramfs", "scripts"}
    assert len(production()) > 30


def test_each_package_imports_only_the_packages_it_may() -> None:
    wrong = [
        f"{module.name} imports {package}"
        for module in production()
        for package in top_level(module.imports).intersection(OUR_PACKAGES)
        if package != module.package and package not in ALLOWED_PACKAGES[module.package]
    ]
    assert wrong == []


def test_others_use_only_the_agents_pure_modules_and_its_door_to_programs() -> None:
    known = modules()
    wrong = [
        f"{module.name} imports {name}"
        for module in production()
        if module.package in AGENT_EDGES_ALLOWED and module.name not in FROZEN_ENTRIES | AGENT_RUNNERS | AGENT_READERS
        for name in ours(module)
        if name.startswith("bootpilot_agent.") and not known[name].is_pure and name not in AGENT_EDGES_ALLOWED[module.package]
    ]
    assert wrong == []


def test_a_module_that_says_it_does_no_io_imports_nothing_that_could() -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in production()
        if module.is_pure
        for name in sorted(module.imports)
        if name in IMPURE_MODULES or name.partition(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def test_a_module_that_says_it_does_no_io_imports_only_its_like() -> None:
    known = modules()
    wrong = [
        f"{module.name} imports {name}"
        for module in production()
        if module.is_pure
        for name in ours(module)
        if not known[name].is_pure and known[name].path.name != "__init__.py"
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ALWAYS_PURE)
def test_the_nouns_and_the_decisions_do_no_io(name: str) -> None:
    assert modules()[name].is_pure


def test_other_programs_are_started_through_one_door_per_folder() -> None:
    users = {module.name for module in production() if "subprocess" in top_level(module.imports)}
    assert users - SUBPROCESS_DOORS == set()


@pytest.mark.parametrize("library", sorted(LIBRARY_DOORS))
def test_a_library_has_one_module_of_the_agent_that_knows_it(library: str) -> None:
    users = {module.name for module in production() if library in top_level(module.imports)}
    assert users - LIBRARY_DOORS[library] == set()


def test_no_module_has_the_name_of_a_standard_one() -> None:
    """A script's own folder comes first on the module path, where such a file would hide the real module."""
    wrong = [module.name for module in production() if module.name.rpartition(".")[2] in sys.stdlib_module_names - {"__main__"}]
    assert wrong == []


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    graph = {module.name: ours(module) for module in production()}
    circles = [f"{name} -> ... -> {name}" for name in graph if name in _reachable(graph, name)]
    assert circles == []


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in graph.get(waiting.pop(), set()):
            # A package's __init__ stands for the package; importing a module runs it, but it holds no code of ours.
            if name not in seen and "." in name:
                seen.add(name)
                waiting.append(name)
    return seen


def test_the_servers_core_decides_from_what_it_is_given() -> None:
    """No step of deciding knows how nodes are stored, how a question arrived, or what an operator typed."""
    wrong = [
        f"{module.name} imports {name}"
        for module in production()
        if module.name.startswith("bootpilot_server.deciding.")
        for name in ours(module)
        if not name.startswith(("bootpilot_server.deciding.", "bootpilot_agent."))
    ]
    assert wrong == []


def test_one_module_of_the_server_knows_which_database_it_has() -> None:
    users = {
        module.name
        for module in production()
        for name in module.imports
        if name.partition(".")[0] == "sqlite3" or name.startswith("sqlalchemy.dialects")
    }
    assert users == {DIALECT}
    server = [module for module in production() if module.name.startswith("bootpilot_server.")]
    words = re.compile(r"PRAGMA|sqlite_|\.on_conflict_")
    assert [module.name for module in server if words.search(module.path.read_text("utf-8")) and module.name != DIALECT] == []
