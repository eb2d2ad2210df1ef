"""Files for the payload: rendered in a sandbox, from facts that nobody trusts."""

from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_agent.plan import Action
from bootpilot_server.deciding.recipes import FileRecipe, Template
from bootpilot_server.deciding.rendering import RenderError, node_context, one_line, render_file
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report, serial
from tests.fakes.site import digest, profile

NODE = "00000000-0000-4000-8000-00000000000a"
PRESEED = "d-i netcfg/get_hostname string {{ node.model }}\nd-i passwd/root-login boolean false\n"


def render(text: str, **library: str) -> str:
    recipe = FileRecipe("/preseed.cfg", 0o600, Template("main", {"main": text, **library}))
    return render_file(recipe, node_context(NODE, make_report(), "ram-page")).content.decode()


def test_a_template_sees_the_node() -> None:
    assert render("{{ node.serial }} {{ node.arch }} {{ profile }} {{ node.evidence['dt-serial'][0] }}\n") == (
        "10000000abcdef01 arm64 ram-page 10000000abcdef01\n"
    )


def test_a_template_may_include_its_neighbours() -> None:
    assert render("{% include 'part' %}", part="{{ node.id }}") == NODE


@pytest.mark.parametrize(
    "text",
    [
        "{{ node.nonsense }}",
        "{{ nobody }}",
        "{{ node.model.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ node.update({'id': 1}) }}",
        "{{ 1 / 0 }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% include '../secret.key' %}",
        "{% include 'main' %}",
        "{{ 'x' * 2000000 }}",
    ],
)
def test_what_a_template_must_not_do_is_an_error_and_never_an_empty_line(text: str) -> None:
    with pytest.raises(RenderError, match="templates/main"):
        render(text)


@given(st.text(max_size=256))
def test_no_board_can_add_a_line_to_an_answer_file(model: str) -> None:
    recipe = FileRecipe("/preseed.cfg", 0o600, Template("main", {"main": PRESEED}))
    content = render_file(recipe, node_context(NODE, make_report(model=model), "p")).content.decode()
    assert len(content.splitlines()) == 2
    assert content.endswith("\nd-i passwd/root-login boolean false\n")


@given(st.text(max_size=100))
def test_template_syntax_in_a_fact_is_never_run(model: str) -> None:
    recipe = FileRecipe("/motd", 0o600, Template("main", {"main": "{{ node.model }}"}))
    shown = "{{ 7*7 }}{% include 'main' %}" + one_line(model)
    report = make_report(model="{{ 7*7 }}{% include 'main' %}" + model)
    assert render_file(recipe, node_context(NODE, report, "p")).content == shown.encode("utf-8", "replace")


def test_a_plans_files_are_artifacts_under_their_digest(bench: Bench) -> None:
    files = '\n[[file]]\npath = "/etc/motd"\ntemplate = "motd"\nmode = "0600"\n[[file]]\npath = "/etc/empty"\ncontent = ""\n'
    bench.apply(profiles__ram_page=profile(files), templates__motd="this is {{ node.serial }}\n")
    plan = bench.plan()
    assert plan.boot is not None
    motd, empty = plan.boot.files
    content = b"this is 10000000abcdef01\n"
    assert (motd.path, motd.mode, motd.artifact.sha256, motd.artifact.size_bytes) == ("/etc/motd", 0o600, digest(content), 25)
    assert bench.client.get(motd.artifact.urls[0]).data == content
    assert bench.client.get(empty.artifact.urls[0]).data == b""


def test_a_template_that_fails_is_a_wait_with_an_entry_in_the_nodes_history(bench: Bench) -> None:
    files = '\n[[file]]\npath = "/etc/motd"\ntemplate = "motd"\n'
    bench.apply(profiles__ram_page=profile(files), templates__motd="{{ node.evidence['mac'][0] }}\n")
    plan = bench.plan()
    assert plan.action is Action.WAIT
    assert plan.wait is not None
    assert plan.wait.reason == "render-error"
    assert "templates/motd:1" in bench.client.get(f"/nodes/{plan.node_id}").text


def test_a_template_is_compiled_once_and_nothing_goes_from_one_board_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    compile_template = jinja2.Environment.compile

    def compile_and_count(self: jinja2.Environment, *arguments: Any, **more: Any) -> Any:
        compiled.append(arguments[1])
        return compile_template(self, *arguments, **more)

    monkeypatch.setattr(jinja2.Environment, "compile", compile_and_count)
    library = {
        "a_state": "{% set kept = namespace(serial='nobody') %}",
        "a_file": "{% import 'a_state' as s %}{% set kept = s.kept %}{{ kept.serial }}{% set kept.serial = node.serial %}",
    }
    recipe = FileRecipe("/f", 0o644, Template("a_file", library))
    for number in ("1111222233334444", "5555666677778888"):
        context = node_context("id", make_report(evidence=serial(number)), "web")
        assert render_file(recipe, context).content == b"nobody"
    assert compiled == ["a_file", "a_state"]
