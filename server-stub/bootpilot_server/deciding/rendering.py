"""Turns a profile's `files` into bytes, in a sandbox that sees nothing but the node's own facts. No I/O here.

A template that names something unknown fails; it never renders to less than its author meant. Facts come from boards that
nobody trusts, so each is one line of text by the time a template sees it: a board cannot add a line to an answer file.
Secrets come from the operator and are taken as they are; what they were used for is told to nobody but the board.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import CodeType

import jinja2
from jinja2 import meta, nodes
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bootpilot_agent.evidence import EvidenceKind, best_serial
from bootpilot_agent.plan import Report
from bootpilot_server.deciding.recipes import FileRecipe, Setting, Template
from bootpilot_server.deciding.secret_values import NO_SECRETS, Secrets, SecretsWantedError

MAX_FILE_BYTES = 1 << 20
# More templates than any folder has in use; old revisions' go.
MAX_COMPILED = 1000
VARIABLES = ("node", "profile", "settings")
SECRET = "secret"


class RenderError(Exception):
    """A template did not render; the message says which, where and why."""


@dataclass(frozen=True)
class RenderedFile:
    """One file for the payload. One that is `secret` is for this boot's eyes only; any other is stored as an artifact."""

    path: str
    mode: int
    content: bytes = field(repr=False)
    secret: bool = False


def render_file(recipe: FileRecipe, context: Mapping[str, object], secrets: Secrets = NO_SECRETS) -> RenderedFile:
    """Raises RenderError, and SecretsWantedError with all that is wanted of what the template names."""
    if isinstance(recipe.source, str):
        return RenderedFile(recipe.path, recipe.mode, recipe.source.encode())
    text, is_secret = render_text(recipe.source, context, secrets)
    return RenderedFile(recipe.path, recipe.mode, text.encode("utf-8", "replace"), is_secret)


def render_text(template: Template, context: Mapping[str, object], secrets: Secrets = NO_SECRETS) -> tuple[str, bool]:
    """What it comes to, and whether a secret was used. Raises as `render_file` does."""
    drawer = _Drawer(secrets)
    text = _render(template, context, drawer)
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_FILE_BYTES:
        raise RenderError(f"{template.told(template.name)}: {size} bytes, at most {MAX_FILE_BYTES} are allowed")
    return text, drawer.is_open


class _Drawer:
    """`secret("NAME")` of one rendering; notes that it was asked."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self.is_open = False
        self.failure = ""

    def take(self, name: object) -> str:
        """The value. Raises RenderError where there is none: a template never goes on without."""
        self.is_open = True
        found = self._secrets.find(str(name))
        if found.failure:
            self.failure = found.failure
            raise RenderError(found.failure)
        return found.text


def node_context(
    node_id: str,
    report: Report,
    profile: str,
    *,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    static_address: str = "",
    settings: Mapping[str, Setting] | None = None,
) -> dict[str, object]:
    """What templates may name: `node`, `profile` and the profile's `settings`. What nobody gave the node, or set, is not there,
    so naming it is an error.
    """
    serial = best_serial(report.evidence)
    evidence = {kind.value: [one_line(piece.value) for piece in report.evidence if piece.kind is kind] for kind in EvidenceKind}
    given = {one_line(key): one_line(value) for key, value in (labels or {}).items()}
    places = {"name": name, "static_address": static_address, "rack": given.get("rack", ""), "slot": given.get("slot", "")}
    return {
        "profile": profile,
        "settings": dict(settings or {}),
        "node": {
            "id": node_id,
            "arch": report.arch,
            "model": one_line(report.inventory.board.model),
            "compatible": [one_line(text) for text in report.inventory.board.compatible],
            "serial": one_line(serial.value) if serial else "",
            "memory_bytes": report.inventory.memory_bytes,
            # What a mark on its disk names it by.
            "strongest": {"kind": serial.kind.value, "value": one_line(serial.value)} if serial else {},
            "evidence": evidence,
            "macs": evidence[EvidenceKind.MAC],
            "address": one_line(report.lease.address),
            "interface": one_line(report.lease.interface),
            "labels": given,
            **{key: one_line(value) for key, value in places.items() if value},
        },
    }


def one_line(text: str) -> str:
    """The text with every control character and line separator replaced: str.splitlines knows ten ways to end a line."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def template_faults(name: str, templates: Mapping[str, str]) -> list[tuple[int, str]]:
    """What can be told without a node: syntax, unknown variables, missing includes, computed secrets; as (line, reason)."""
    environment = _environment(templates)
    try:
        tree = environment.parse(templates[name], name)
    except jinja2.TemplateSyntaxError as error:
        return [(error.lineno, error.message or "syntax error")]
    unknown = sorted(meta.find_undeclared_variables(tree) - set(environment.globals) - set(VARIABLES) - {SECRET})
    absent = [other for other in meta.find_referenced_templates(tree) if other is not None and other not in templates]
    faults = [(word, f"unknown variable {word}; known: {', '.join((*VARIABLES, SECRET))}") for word in unknown]
    faults += [(other, f"includes {other}, which is not in templates/") for other in absent]
    named = {id(call.node) for call in _secret_calls(tree)}
    computed = [word.lineno for word in tree.find_all(nodes.Name) if word.name == SECRET and id(word) not in named]
    reason = 'a secret is named by its name in quotes and nothing else: {{ secret("NAME") }}'
    return [(_first_line(templates[name], word), text) for word, text in faults] + [(line, reason) for line in computed]


def secrets_in(name: str, templates: Mapping[str, str]) -> list[tuple[int, str]]:
    """The secrets that a template names itself, as (line, name)."""
    try:
        tree = _environment(templates).parse(templates[name], name)
    except jinja2.TemplateSyntaxError:
        return []
    return [(call.lineno, call.args[0].as_const()) for call in _secret_calls(tree)]


def secrets_of(template: Template) -> frozenset[str]:
    """The secrets that a template names, itself or by what it includes."""
    texts = template_closure(template)
    return frozenset(secret for name in texts for _, secret in secrets_in(name, texts))


def settings_in(name: str, templates: Mapping[str, str]) -> list[tuple[int, str, bool]]:
    """The settings that a template names itself, as (line, name, whether it does without: `is defined` or `default`)."""
    try:
        tree = _environment(templates).parse(templates[name], name)
    except jinja2.TemplateSyntaxError:
        return []
    asked = [*tree.find_all(nodes.Test), *tree.find_all(nodes.Filter)]
    optional = {id(node.node) for node in asked if node.name in ("defined", "undefined", "default", "d")}
    named = [
        node for node in tree.find_all(nodes.Getattr) if isinstance(node.node, nodes.Name) and node.node.name == "settings"
    ]
    # Who asks for a name at one place knows at the others whether it is there.
    spared = {node.attr for node in named if id(node) in optional}
    return [(node.lineno, node.attr, node.attr in spared) for node in named]


def _secret_calls(tree: nodes.Template) -> Iterable[nodes.Call]:
    for call in tree.find_all(nodes.Call):
        is_secret = isinstance(call.node, nodes.Name) and call.node.name == SECRET
        plain = len(call.args) == 1 and not (call.kwargs or call.dyn_args or call.dyn_kwargs)
        if is_secret and plain and isinstance(call.args[0], nodes.Const) and isinstance(call.args[0].value, str):
            yield call


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


def _render(template: Template, context: Mapping[str, object], drawer: _Drawer) -> str:
    name = template.name
    environment = _environment(template.library)
    # A global, so that what is imported without the context has it too.
    environment.globals[SECRET] = drawer.take
    try:
        return environment.get_template(name).render(context)
    except SecretsWantedError as wanted:
        raise SecretsWantedError(secrets_of(template) | wanted.names) from None
    except jinja2.TemplateSyntaxError as error:
        raise RenderError(f"{template.told(error.name or name)}:{error.lineno}: {error.message}") from error
    except RecursionError as error:
        raise RenderError(f"{template.told(name)}: includes itself") from error
    # A template is a program: it may divide by zero or subscript a number, and none of it is the server's fault.
    except Exception as error:
        place = f"{template.told(name)}:{_line_in_template(error, name)}"
        if drawer.failure:
            raise RenderError(f"{place}: {drawer.failure}") from None
        if drawer.is_open:
            # What the error says may hold the secret, changed so that nobody could search for it; and so may its causes.
            kind = type(error).__name__
            raise RenderError(f"{place}: {kind}; a secret was in use, so no more is said (`bootpilot render` may)") from None
        raise RenderError(f"{place}: {type(error).__name__}: {error}") from error


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
