"""Fetching and unpacking packages, with the real apt and dpkg on small archives of the tests' own."""

import io
import shutil
from pathlib import Path

import pytest

from initramfs.architectures import ARCHITECTURES
from initramfs.errors import BuildError
from initramfs.packages import Packages, built_unix_s
from initramfs.private_apt import PackageSet, PrivateApt, apt_configuration
from initramfs.progress import Progress
from tests.initramfs.archive_on_disk import ArchiveOnDisk

AMD64 = ARCHITECTURES["amd64"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = ArchiveOnDisk(tmp_path_factory.mktemp("archive"))
    archive.add("stable", "library")
    archive.add("stable", "program", depends="library (>= 1.0)")
    archive.add("stable", "kernel-1", depends="setup-scripts-that-nobody-has")
    archive.add("stable", "kernel", depends="kernel-1 (= 1.0)")
    archive.publish("stable")
    return archive.root


@pytest.fixture
def archive(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArchiveOnDisk:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(template, tmp_path / "archive")
    return ArchiveOnDisk(tmp_path / "archive")


def packages_of(archive: ArchiveOnDisk, *, refresh: bool = False) -> Packages:
    suites = (archive.suite("stable", required=True),)
    return Packages(AMD64, Progress(io.StringIO()), refresh=refresh, suites=lambda release: suites)


def names(packages: Packages, wanted: PackageSet) -> list[str]:
    return [f"{package.name} {package.version}" for package in packages.resolve(wanted)]


def test_dependencies_come_with_a_package(archive: ArchiveOnDisk) -> None:
    assert names(packages_of(archive), PackageSet(with_dependencies=("program",))) == ["library 1.0", "program 1.0"]


def test_a_package_can_be_taken_alone_even_if_its_dependencies_cannot_be_had(archive: ArchiveOnDisk) -> None:
    assert names(packages_of(archive), PackageSet(alone=("kernel-1",))) == ["kernel-1 1.0"]


def test_a_metapackage_names_the_kernel(archive: ArchiveOnDisk) -> None:
    assert packages_of(archive).newest_version_of("kernel", "kernel-") == "kernel-1"


def test_a_metapackage_without_such_a_kernel_is_an_error_that_names_what_it_has(archive: ArchiveOnDisk) -> None:
    with pytest.raises(BuildError, match=r"kernel depends on no linux-\* package, but on kernel-1"):
        packages_of(archive).newest_version_of("kernel", "linux-")


def test_an_unknown_package_is_an_error_that_names_it(archive: ArchiveOnDisk) -> None:
    with pytest.raises(BuildError, match="nowhere"):
        packages_of(archive).resolve(PackageSet(with_dependencies=("nowhere",)))


def test_a_second_build_needs_no_archive(archive: ArchiveOnDisk) -> None:
    wanted = PackageSet(with_dependencies=("program",))
    first = packages_of(archive).resolve(wanted)
    shutil.rmtree(archive.root)
    assert packages_of(archive).resolve(wanted) == first


def test_only_refresh_asks_for_newer_versions(archive: ArchiveOnDisk) -> None:
    wanted = PackageSet(with_dependencies=("program",))
    packages_of(archive).resolve(wanted)
    archive.add("stable", "library", version="2.0")
    archive.publish("stable")
    assert names(packages_of(archive), wanted) == ["library 1.0", "program 1.0"]
    assert names(packages_of(archive, refresh=True), wanted) == ["library 2.0", "program 1.0"]


def test_a_package_that_was_deleted_from_the_cache_is_fetched_again(archive: ArchiveOnDisk) -> None:
    wanted = PackageSet(with_dependencies=("library",))
    (library,) = packages_of(archive).resolve(wanted)
    library.path.unlink()
    assert packages_of(archive).resolve(wanted) == (library,)
    assert library.path.is_file()


def test_packages_are_unpacked_into_one_folder(archive: ArchiveOnDisk) -> None:
    packages = packages_of(archive)
    root = packages.unpacked(packages.resolve(PackageSet(with_dependencies=("program",))))
    assert (root / "usr" / "share" / "library").read_text() == "1.0"
    assert (root / "usr" / "share" / "program").read_text() == "1.0"


def test_the_time_of_a_build_is_that_of_its_newest_package(archive: ArchiveOnDisk) -> None:
    packages = packages_of(archive).resolve(PackageSet(with_dependencies=("program",)))
    assert built_unix_s(packages) == max(built_unix_s((package,)) for package in packages)
    assert abs(built_unix_s(packages) - packages[0].path.stat().st_mtime) < 7 * 86400


def test_a_suite_whose_index_does_not_fit_is_left_out_and_named(archive: ArchiveOnDisk) -> None:
    archive.add("fixes", "library", version="1.1")
    archive.publish("fixes")
    with (archive.root / "dists/fixes/main/binary-amd64/Packages").open("a") as index:
        index.write("\n")  # what a mirror looks like while it is being synchronised
    said = io.StringIO()
    apt = PrivateApt(AMD64, Progress(said), (archive.suite("stable", required=True), archive.suite("fixes")), update_pause_s=0)
    apt.update()
    assert [package.version for package in apt.fetch(PackageSet(with_dependencies=("library",)))] == ["1.0"]
    assert "going on without fixes" in said.getvalue()


def test_without_the_required_suite_nothing_is_built_and_the_setting_is_named(archive: ArchiveOnDisk) -> None:
    apt = PrivateApt(AMD64, Progress(io.StringIO()), (archive.suite("gone", required=True),), update_pause_s=0)
    with pytest.raises(BuildError) as raised:
        apt.update()
    assert "BOOTPILOT_DEBIAN_MIRROR" in raised.value.hint


def test_an_archive_signed_by_another_key_is_refused(archive: ArchiveOnDisk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = ArchiveOnDisk(other)
    stranger.add("stable", "library", version="6.6.6")
    stranger.publish("stable")
    shutil.copy(archive.root / "key.gpg", other / "key.gpg")
    apt = PrivateApt(AMD64, Progress(io.StringIO()), (stranger.suite("stable", required=True),), update_pause_s=0)
    with pytest.raises(BuildError, match=r"NO_PUBKEY|not signed|public key"):
        apt.update()


def test_the_private_apt_keeps_the_machine_s_proxy_and_nothing_else_of_it(tmp_path: Path) -> None:
    text = apt_configuration(tmp_path, "arm64", 'Acquire::http::Proxy "http://proxy.example:3128";\n')
    assert text.startswith('Acquire::http::Proxy "http://proxy.example:3128";\n')
    assert f'Dir::State::status "{tmp_path}/status";' in text
    assert 'APT::Architectures "arm64";' in text
