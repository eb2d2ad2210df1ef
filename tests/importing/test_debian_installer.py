"""`bootpilot import debian-installer`: from a package to a folder that is good, and to what boards get of it."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpilot_agent.evidence import EvidenceKind, grade_evidence
from bootpilot_agent.mark import Mark
from bootpilot_server.cli import main
from bootpilot_server.deciding.recipes import Profile
from bootpilot_server.deciding.rendering import node_context, render_file
from bootpilot_server.deciding.secret_values import Secrets, SecretValue
from bootpilot_server.errors import OperatorError
from bootpilot_server.importing.debian_installer import Order, import_debian_installer
from bootpilot_server.importing.debian_profile import TEMPLATES
from bootpilot_server.importing.netboot_package import NUMBERS, Netboot
from bootpilot_server.importing.site_texts import Outcome, template_texts
from bootpilot_server.site_folder.check import check_folder
from bootpilot_server.site_folder.revision import read_revision
from tests.fakes.bench import Bench
from tests.fakes.reports import make_report
from tests.importing.netboot_debs import CPIO, make_deb, netboot_files

Output = pytest.CaptureFixture[str]
NODE = "4993fa23-c9e7-4099-a268-cbbf16e1c2aa"
MIRROR = "http://mirror.example:3142/debian"
SECRET = "debian-user-password"
SECRETS = Secrets(frozenset({SECRET}), {SECRET: SecretValue("$6$salt$hash")})
TRIXIE = Netboot("trixie", "arm64")


def order(tmp_path: Path, netboot: Netboot = TRIXIE, mirror: str = MIRROR, **deb: Any) -> Order:
    return Order(netboot, tmp_path / "site", f"debian-{netboot.release}", mirror, make_deb(tmp_path / "deb", netboot, **deb))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "deb").mkdir()


def profile_of(site: Path, name: str = "debian-trixie") -> Profile:
    texts = {str(path.relative_to(site)): path.read_text() for path in sorted(site.rglob("*")) if path.is_file()}
    revision, findings = read_revision(texts)
    assert [str(finding) for finding in findings if not finding.warning] == []
    return revision.profiles[name]


def rendered(profile: Profile, model: str = "board", **node: Any) -> dict[str, str]:
    """Every file of the profile for a board, by path."""
    context = node_context(NODE, make_report(model=model), profile.name, settings=profile.settings, **node)
    return {recipe.path: render_file(recipe, context, SECRETS).content.decode() for recipe in profile.files}


@pytest.mark.parametrize("release", sorted(NUMBERS))
@pytest.mark.parametrize("arch", ["amd64", "arm64", "armhf"])
def test_a_package_becomes_a_folder_that_lacks_only_what_a_person_must_say(
    release: str, arch: str, bench: Bench, tmp_path: Path
) -> None:
    asked = order(tmp_path, Netboot(release, arch))
    done = import_debian_installer(bench.server, asked)
    assert {text.outcome for text in done.texts} == {Outcome.WRITTEN}
    assert (done.kernel.kernel_arch, done.initrd.unpacked_bytes, done.version) == (arch, len(CPIO), "20250101")
    assert [str(finding) for finding in check_folder(asked.site, bench.server.artifacts, {SECRET}).findings] == []
    (finding,) = check_folder(asked.site, bench.server.artifacts).findings
    assert f"secret {SECRET} is not declared" in finding.reason


def test_without_a_mirror_check_says_where_it_belongs(bench: Bench, tmp_path: Path) -> None:
    asked = order(tmp_path, mirror="")
    import_debian_installer(bench.server, asked)
    (finding,) = check_folder(asked.site, bench.server.artifacts, {SECRET}).findings
    assert (finding.file, finding.warning) == ("profiles/debian-trixie.toml", False)
    assert "settings.mirror: missing; templates/debian-installer/preseed.cfg" in finding.reason


@pytest.mark.parametrize("mirror", ["mirror.example/debian", "ftp://mirror.example", 'http://a/"\nx = "', "http://a/debian b"])
def test_what_is_no_address_is_no_mirror(mirror: str, bench: Bench, tmp_path: Path) -> None:
    asked = order(tmp_path, mirror=mirror)
    with pytest.raises(OperatorError, match="is no address of a Debian archive"):
        import_debian_installer(bench.server, asked)
    assert not asked.site.exists()


def test_nothing_of_the_operators_is_overwritten(bench: Bench, tmp_path: Path) -> None:
    asked = order(tmp_path)
    import_debian_installer(bench.server, asked)
    mine = asked.site / "templates/debian-installer/preseed.cfg"
    mine.write_text("d-i mine boolean true\n")
    done = import_debian_installer(bench.server, asked)
    kept = [text.path for text in done.texts if text.outcome is Outcome.KEPT]
    assert (kept, mine.read_text()) == (["templates/debian-installer/preseed.cfg"], "d-i mine boolean true\n")
    assert {text.outcome for text in done.texts} == {Outcome.KEPT, Outcome.SAME}


def test_a_link_in_the_folder_is_not_written_through(bench: Bench, tmp_path: Path) -> None:
    asked = order(tmp_path)
    (asked.site / "profiles").mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("precious")
    (asked.site / "profiles/debian-trixie.toml").symlink_to(tmp_path / "elsewhere")
    import_debian_installer(bench.server, asked)
    assert (tmp_path / "elsewhere").read_text() == "precious"


@pytest.mark.parametrize(
    ("deb", "words"),
    [
        ({"package": "debian-installer-12-netboot-arm64"}, "expected debian-installer-13-netboot-arm64"),
        ({"files": {TRIXIE.kernel: netboot_files(TRIXIE)[TRIXIE.kernel]}}, "has no usr/lib/debian-installer"),
        ({"files": {**netboot_files(TRIXIE), TRIXIE.initrd: b"no initrd"}}, "is no initrd that can be unpacked"),
        ({"files": {**netboot_files(TRIXIE), TRIXIE.kernel: netboot_files(Netboot("trixie", "armhf"))[
            Netboot("trixie", "armhf").kernel
        ]}}, "is a kernel for armhf, expected arm64"),
    ],
    ids=["another package", "no initrd", "a damaged initrd", "another kernel"],
)  # fmt: skip
def test_a_package_that_is_not_what_was_asked_for_writes_nothing(
    deb: dict[str, Any], words: str, bench: Bench, tmp_path: Path, capsys: Output
) -> None:
    asked = order(tmp_path, **deb)
    words_of = ["import", "debian-installer", "--release", "trixie", "--arch", "arm64", "--from", str(asked.deb)]
    assert main(["--home", str(bench.server.config.home), *words_of, str(asked.site)]) == 1
    assert words in capsys.readouterr().err
    assert not asked.site.exists()


@pytest.mark.parametrize(("content", "words"), [(b"", "exit code"), (b"!<arch>\nnothing", "exit code"), (None, "no such file")])
def test_what_is_no_package_is_refused(content: bytes | None, words: str, bench: Bench, tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "x.deb"
    if content is not None:
        path.write_bytes(content)
    words_of = ["import", "debian-installer", "--release", "trixie", "--arch", "arm64", "--from", str(path)]
    assert main(["--home", str(bench.server.config.home), *words_of, str(tmp_path / "site")]) == 1
    assert words in capsys.readouterr().err


def test_a_truncated_package_is_refused(bench: Bench, tmp_path: Path, capsys: Output) -> None:
    deb = order(tmp_path).deb
    assert deb is not None
    deb.write_bytes(deb.read_bytes()[:-2000])
    words_of = ["import", "debian-installer", "--release", "trixie", "--arch", "arm64", "--from", str(deb)]
    assert main(["--home", str(bench.server.config.home), *words_of, str(tmp_path / "site")]) == 1
    assert str(deb) in capsys.readouterr().err


def test_the_command_says_what_it_did_and_what_comes_next(bench: Bench, tmp_path: Path, capsys: Output) -> None:
    asked = order(tmp_path)
    words = ["import", "debian-installer", "--release", "trixie", "--arch", "arm64", "--from", str(asked.deb)]
    assert main(["--home", str(bench.server.config.home), *words, str(asked.site)]) == 0
    told = capsys.readouterr().out
    for word in ("written: profiles/debian-trixie-arm64.toml", "name the Debian archive", "secrets.toml", "bootpilot check"):
        assert word in told
    assert main(["--home", str(bench.server.config.home), "--json", *words, str(asked.site)]) == 0
    assert {file["written"] for file in json.loads(capsys.readouterr().out)["files"]} == {False}


def preseed(bench: Bench, tmp_path: Path, **node: Any) -> str:
    asked = order(tmp_path)
    import_debian_installer(bench.server, asked)
    return rendered(profile_of(asked.site), **node)["/preseed.cfg"]


def test_debconf_takes_the_preseed_file(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "preseed").write_text(preseed(bench, tmp_path, name="rack7-03"))
    done = subprocess.run(
        ["debconf-set-selections", "--checkonly", str(tmp_path / "preseed")], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_preseed_file_says_what_the_profile_says(bench: Bench, tmp_path: Path) -> None:
    lines = preseed(bench, tmp_path, name="Rack7_03").splitlines()
    for line in (
        "d-i mirror/http/hostname string mirror.example:3142",
        "d-i mirror/http/directory string /debian",
        "d-i mirror/suite string trixie",
        "d-i netcfg/hostname string rack7-03",
        "d-i passwd/user-password-crypted password $6$salt$hash",
        "d-i partman/early_command string /etc/bootpilot/partman-early.sh",
        "d-i grub-installer/skip boolean true",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith("d-i partman-auto/disk")]


@settings(max_examples=40, deadline=None)
@given(hostile=st.text(max_size=128))
def test_no_board_adds_a_directive_or_a_word_of_shell(hostile: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    profile = hostile_profile()
    report = make_report(model=hostile)
    report = replace(report, evidence=(grade_evidence(EvidenceKind.DT_SERIAL, "serial " + hostile.replace("\x00", ""), "/"),))
    plain = node_context(NODE, make_report(), profile.name, settings=profile.settings)
    harmful = node_context(NODE, report, profile.name, settings=profile.settings)
    for recipe in profile.files:
        one, other = (render_file(recipe, context, SECRETS).content.decode() for context in (plain, harmful))
        if recipe.path.endswith("evidence.json"):
            assert json.loads(other)["value"] == harmful["node"]["strongest"]["value"]  # type: ignore[index]
            assert len(other.splitlines()) == 1
        else:
            assert other == one


def hostile_profile() -> Profile:
    """The profile as it is imported, without a package."""
    from bootpilot_server.importing.debian_profile import profile_text

    artifact = f'[kernel]\nsha256 = "{"0" * 64}"\n'
    texts = {"profiles/p.toml": profile_text(TRIXIE, "1", artifact, MIRROR)}
    for folder, names in TEMPLATES.items():
        texts |= template_texts(folder, names)
    return read_revision(texts)[0].profiles["p"]


def test_the_evidence_of_a_mark_is_the_boards_own(bench: Bench, tmp_path: Path) -> None:
    asked = order(tmp_path)
    import_debian_installer(bench.server, asked)
    evidence = rendered(profile_of(asked.site))["/etc/bootpilot/evidence.json"]
    mark = {"version": 1, "node_id": NODE, "install_id": NODE, "root_partuuid": "0badf00d-01", "autonomous_after_s": None}
    made = Mark.from_file(json.dumps({**mark, "evidence": json.loads(evidence)}).encode())
    assert made.names(make_report().evidence)
