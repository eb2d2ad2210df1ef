"""OCI image archives as skopeo writes them: layers in order, what they take away, digests, architectures."""

import contextlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpilot_install.errors import ImageError
from bootpilot_install.oci_layout import choose_layers
from bootpilot_install.oci_unpacking import unpack_oci
from bootpilot_install.tree import Tree
from tests.fakes.boot_server import FakeBootServer
from tests.fakes.install_orders import install_order
from tests.fakes.installing_machine import InstallingMachine, MountedPartition
from tests.fakes.root_archives import Archive, oci_archive, small_system


def unpack(raw: bytes, target: Path, arch: str = "amd64") -> None:
    target.mkdir(exist_ok=True)
    with Tree(target) as tree:
        unpack_oci(io.BytesIO(raw).read, tree, arch, lambda text: None)


def files(target: Path) -> list[str]:
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir())


LOWER = (
    Archive().file("etc/a", "1").file("etc/b", "1").file("opt/x/1", "1").file("opt/x/deep/2", "2").file("opt/y", "y").bytes()
)


@pytest.mark.parametrize("compression", ["gz", "zst", "none"])
@pytest.mark.parametrize("index_first", [True, False])
def test_layers_lie_on_each_other_in_order(tmp_path: Path, compression: str, index_first: bool) -> None:
    upper = Archive().file("etc/a", "2").file("etc/.wh.b").file("etc/c", "3").bytes()
    unpack(oci_archive([(LOWER, "gz"), (upper, compression)], index_first=index_first), tmp_path / "t")
    assert (tmp_path / "t/etc/a").read_text() == "2"
    assert files(tmp_path / "t") == ["etc/a", "etc/c", "opt/x/1", "opt/x/deep/2", "opt/y"]


def test_a_whiteout_takes_a_whole_folder_away(tmp_path: Path) -> None:
    unpack(oci_archive([(LOWER, "gz"), (Archive().file("opt/.wh.x").bytes(), "gz")]), tmp_path / "t")
    assert files(tmp_path / "t") == ["etc/a", "etc/b", "opt/y"]


@pytest.mark.parametrize("late", [True, False])
def test_an_opaque_folder_keeps_only_what_its_own_layer_has(tmp_path: Path, late: bool) -> None:
    upper = Archive().folder("opt/x").folder("opt/x/deep")
    upper = (upper if late else upper.file("opt/x/.wh..wh..opq")).file("opt/x/new", "n").file("opt/x/deep/mine", "m")
    upper = upper.file("opt/x/.wh..wh..opq") if late else upper
    unpack(oci_archive([(LOWER, "gz"), (upper.bytes(), "gz")]), tmp_path / "t")
    assert files(tmp_path / "t") == ["etc/a", "etc/b", "opt/x/deep/mine", "opt/x/new", "opt/y"]


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no one image for linux/arm64: linux/amd64"):
        unpack(oci_archive([(LOWER, "gz")]), tmp_path / "t", "arm64")


@pytest.mark.parametrize(
    ("arch", "name", "variant"), [("armhf", "arm", "v7"), ("arm64", "arm64", "v8"), ("riscv64", "riscv64", "")]
)
def test_each_architecture_has_its_name(tmp_path: Path, arch: str, name: str, variant: str) -> None:
    unpack(oci_archive([(LOWER, "gz")], name, variant), tmp_path / "t", arch)
    assert "etc/a" in files(tmp_path / "t")


def test_arm_before_version_seven_is_no_armhf(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="linux/arm/v6"):
        unpack(oci_archive([(LOWER, "gz")], "arm", "v6"), tmp_path / "t", "armhf")


def test_a_part_with_another_digest_is_refused(tmp_path: Path) -> None:
    raw = oci_archive([(LOWER, "none")])
    with pytest.raises(ImageError, match="has the digest"):
        unpack(raw.replace(b"opt/x/deep/2", b"opt/x/deep/3"), tmp_path / "t")


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    entry = {"digest": "sha256:" + "a" * 64, "size": 3, "platform": {"os": "linux", "architecture": "amd64"}}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]})
    with pytest.raises(ImageError, match="lacks the part sha256:aaaa"):
        unpack(Archive().file("index.json", index).file("oci-layout", "{}").bytes(), tmp_path / "t")


def test_what_docker_save_wrote_is_told_from_an_oci_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no OCI image") as caught:
        unpack(Archive().file("manifest.json", "[]").bytes(), tmp_path / "t")
    assert "skopeo copy" in caught.value.hint


@pytest.mark.parametrize(
    "layer",
    [
        Archive().file("../x", "x"),
        Archive().link("way", "/etc").file("way/.wh.passwd"),
        Archive().file("opt/.wh..."),
        Archive().file(".bootpilot-image/x", "x"),
    ],
)
def test_a_hostile_layer_is_refused(tmp_path: Path, layer: Archive) -> None:
    (tmp_path / "x").write_text("as it was")
    with pytest.raises(ImageError):
        unpack(oci_archive([(LOWER, "gz"), (layer.bytes(), "gz")]), tmp_path / "t")
    assert (tmp_path / "x").read_text() == "as it was"
    assert not (tmp_path / "t/.bootpilot-image").exists()


KEYS = st.sampled_from(["manifests", "digest", "platform", "os", "architecture", "layers", "config", "mediaType", "size"])
LEAVES = st.none() | st.integers() | st.text(max_size=5)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))


@given(TREES)
def test_any_index_gives_layers_or_a_named_error(index: object) -> None:
    with contextlib.suppress(ImageError):
        choose_layers(json.dumps(index).encode(), lambda digest: json.dumps(index).encode(), "amd64")


def test_an_index_that_holds_itself_ends(tmp_path: Path) -> None:
    entry = {"digest": "sha256:" + "a" * 64, "platform": {"os": "linux", "architecture": "amd64"}}
    index = json.dumps({"manifests": [entry]}).encode()
    with pytest.raises(ImageError, match="nested without end"):
        choose_layers(index, lambda digest: index, "amd64")


def test_a_whole_installation_from_an_oci_image(machine: InstallingMachine, server: FakeBootServer, tmp_path: Path) -> None:
    disk = machine.add_disk()
    raw = oci_archive([(small_system().bytes(), "zst"), (Archive().file("etc/.wh.hosts").bytes(), "gz")])
    image = {"kind": "oci", "compression": "none", "artifact": server.artifact(raw)}
    assert machine.install(install_order(image)) == "kexec -e", machine.console  # type: ignore[arg-type]
    with MountedPartition(disk, 2, tmp_path / "look") as root:
        assert (root / "etc/hosts").read_text() == "127.0.0.1\tlocalhost\n127.0.1.1\tweb-1.example.org\tweb-1\n"
        assert not (root / ".bootpilot-image").exists()
