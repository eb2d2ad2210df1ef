"""What each module of ours imports, read with ast: nothing is executed."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.gate.project_files import ROOT, python_files

# Folders that are on the module path, longest first; a file's module name starts below the first that holds it.
PATH_ROOTS = (ROOT / "agent", ROOT / "server-stub", ROOT)
OUR_PACKAGES = ("bootpilot_agent", "bootpilot_install", "bootpilot_server", "initramfs", "scripts", "tests")


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its docstring, every dotted name it imports at any depth."""

    name: str
    path: Path
    docstring: str
    imports: frozenset[str]

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def is_pure(self) -> bool:
        """True if the module says of itself that it does no I/O (or none but onto the stream it is given)."""
        return any(sentence in self.docstring for sentence in ("No I/O here", "No I/O but onto the stream", "Pure data"))


@cache
def modules() -> dict[str, Module]:
    found = (_read_module(path) for path in python_files())
    return {module.name: module for module in found}


def _read_module(path: Path) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            imports.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return Module(_module_name(path), path, ast.get_docstring(tree) or "", frozenset(imports))


def _module_name(path: Path) -> str:
    root = next(root for root in PATH_ROOTS if root in path.parents)
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def top_level(imports: frozenset[str]) -> set[str]:
    return {name.partition(".")[0] for name in imports}
