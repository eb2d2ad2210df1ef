"""[settings] of a profile: what its templates may name, checked before a board asks."""

import pytest

from tests.fakes.bench import Bench
from tests.fakes.site import profile

FILE = '\n[[file]]\npath = "/answers"\ntemplate = "answers"\n'


def findings(bench: Bench, settings: str, template: str) -> list[str]:
    applied = bench.apply(profiles__ram_page=profile(f"{FILE}\n[settings]\n{settings}\n"), templates__answers=template)
    return [str(finding) for finding in applied.findings]


def test_a_template_sees_the_settings_of_the_profile_that_uses_it(bench: Bench) -> None:
    settings = 'mirror = "http://mirror.example"\nmany = ["a", "b"]\ncount = 3\nwipe = false'
    template = "{{ settings.mirror }} {{ settings.many | join('+') }} {{ settings.count }} {{ settings.wipe }}"
    assert findings(bench, settings, template) == []
    boot = bench.plan().boot
    assert boot is not None
    with bench.server.artifacts.open(boot.files[0].artifact.sha256) as file:
        assert file.read() == b"http://mirror.example a+b 3 False"


@pytest.mark.parametrize(
    ("settings", "template", "words"),
    [
        ('other = "x"', "{{ settings.other }}\n{{ settings.mirror }}", "settings.mirror: missing; templates/answers:2 uses it"),
        ('mirrorx = "x"', "{{ settings.mirror }}", "did you mean it with mirrorx?"),
        ('mirror = "x"\nunused = 1', "{{ settings.mirror }}", "warning: settings.unused: no template uses it"),
        ("mirror = 1.5", "{{ settings.mirror }}", "settings.mirror: expected text or a list of texts, got 1.5"),
        ('Mirror = "x"', "none", "settings.Mirror: expected a name like"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(bench: Bench, settings: str, template: str, words: str) -> None:
    found = findings(bench, settings, template)
    assert words in "\n".join(found)
    assert all(line.startswith("profiles/ram-page.toml:") for line in found)


@pytest.mark.parametrize(
    "template",
    ["{% if settings.proxy is defined %}{{ settings.proxy }}{% endif %}", "{{ settings.proxy | default('') }}"],
)
def test_a_template_may_do_without_a_setting(bench: Bench, template: str) -> None:
    assert findings(bench, "", template) == []
