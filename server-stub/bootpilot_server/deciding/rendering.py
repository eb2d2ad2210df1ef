"""Turns a profile's `files` into bytes, in a sandbox that sees nothing but the node's own facts. No I/O here.

A template that names something unknown fails; it never renders to less than its author meant. Facts come from boards that
nobody trusts, so each is one line of text by the time a template sees it: a board cannot add a line to an answer file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType

import jinja2
from jinja2 import meta
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bootpilot_agent.evidence import EvidenceKind, best_serial
from bootpilot_agent.plan import Report
from bootpilot_server.deciding.recipes import FileRecipe, Template

MAX_FILE_BYTES = 1 << 20
# More templates than any folder has in use; old revisions' go.
MAX_COMPILED = 1000
VARIABLES = ("node", "profile")


class RenderError(Exception):
    """A template did not render; the message says which, where and why."""


@dataclass(frozen=True)
class RenderedFile:
    """One file for the payload, ready to be stored as an artifact."""

    path: str
    mode: int
    content: bytes


def render_file(recipe: FileRecipe, context: Mapping[str, object]) -> RenderedFile:
    """Raises RenderError."""
    if isinstance(recipe.source, str):
        return RenderedFile(recipe.path, recipe.mode, recipe.source.encode())
    content = _render(recipe.source.name, recipe.source.library, context).encode("utf-8", "replace")
    if len(content) > MAX_FILE_BYTES:
        raise RenderError(f"templates/{recipe.source.name}: {len(content)} bytes, at most {MAX_FILE_BYTES} are allowed")
    return RenderedFile(recipe.path, recipe.mode, content)


def node_context(node_id: str, report: Report, profile: str) -> dict[str, object]:
    """What templates may name: `node` and `profile`."""
    serial = best_serial(report.evidence)
    evidence = {kind.value: [one_line(piece.value) for piece in report.evidence if piece.kind is kind] for kind in EvidenceKind}
    return {
        "profile": profile,
        "node": {
            "id": node_id,
            "arch": report.arch,
            "model": one_line(report.inventory.board.model),
            "compatible": [one_line(name) for name in report.inventory.board.compatible],
            "serial": one_line(serial.value) if serial else "",
            "memory_bytes": report.inventory.memory_bytes,
            "evidence": evidence,
            "macs": evidence[EvidenceKind.MAC],
            "address": one_line(report.lease.address),
            "interface": one_line(report.lease.interface),
        },
    }


def one_line(text: str) -> str:
    """The text with every control character and line separator replaced: str.splitlines knows ten ways to end a line."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def template_faults(name: str, templates: Mapping[str, str]) -> list[tuple[int, str]]:
    """What can be told without a node: syntax, unknown variables, missing includes; as (line, reason)."""
    environment = _environment(templates)
    try:
        tree = environment.parse(templates[name], name)
    except jinja2.TemplateSyntaxError as error:
        return [(error.lineno, error.message or "syntax error")]
    unknown = sorted(meta.find_undeclared_variables(tree) - set(environment.globals) - set(VARIABLES))
    absent = [other for other in meta.find_referenced_templates(tree) if other is not None and other not in templates]
    faults = [(word, f"unknown variable {word}; known: {', '.join(VARIABLES)}") for word in unknown]
    faults += [(other, f"includes {other}, which is not in templates/") for other in absent]
    return [(_first_line(templates[name], word), reason) for word, reason in faults]


def template_closure(template: Template) -> dict[str, str]:
    """The template and all that it includes; its whole library where a name of one is computed only when it renders."""
    environment, found, waiting = _environment(template.library), dict[str, str](), [template.name]
    while waiting:
        name = waiting.pop()
        if name in found or name not in template.library:
            continue
        found[name] = template.library[name]
        try:
            others = list(meta.find_referenced_templates(environment.parse(found[name])))
        except jinja2.TemplateSyntaxError:
            continue
        if None in others:
            return dict(template.library)
        waiting += [other for other in others if other is not None]
    return found


def _render(name: str, templates: Mapping[str, str], context: Mapping[str, object]) -> str:
    try:
        return _environment(templates).get_template(name).render(context)
    except jinja2.TemplateSyntaxError as error:
        raise RenderError(f"templates/{error.name or name}:{error.lineno}: {error.message}") from error
    except RecursionError as error:
        raise RenderError(f"templates/{name}: includes itself") from error
    # A template is a program: it may divide by zero or subscript a number, and none of it is the server's fault.
    except Exception as error:
        raise RenderError(f"templates/{name}:{_line_in_template(error, name)}: {type(error).__name__}: {error}") from error


def _environment(templates: Mapping[str, str]) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=jinja2.DictLoader(dict(templates)),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # answer files are not HTML
        bytecode_cache=_COMPILED,
    )


class _Compiled(jinja2.BytecodeCache):
    """What templates compile to, by their text: every question renders, and compiling takes longer than all the rest of it.

    An environment kept for all questions would be simpler, but what an imported template sets would live on in it.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if len(self._codes) >= MAX_COMPILED:
            self._codes.clear()
        if bucket.code is not None:
            self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


def _line_in_template(error: BaseException, name: str) -> int:
    """Jinja2 rewrites tracebacks so that frames of a template carry its name and line."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in (name, "<template>", "<unknown>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _first_line(text: str, word: str) -> int:
    return next((number for number, line in enumerate(text.split("\n"), start=1) if word in line), 1)
