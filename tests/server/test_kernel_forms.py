"""Kernels as distributions ship them, stored as kexec takes them. What is made here is made by the format's document."""

import bz2
import gzip
import json
import lzma
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpilot_server.artifacts.initrd_content import module_versions
from bootpilot_server.artifacts.kernel_forms import is_wrapped, unwrap
from bootpilot_server.artifacts.kernel_version import kernel_version
from bootpilot_server.artifacts.pe_sections import pe_sections
from bootpilot_server.cli import main
from bootpilot_server.errors import OperatorError
from tests.fakes.bench import Bench
from tests.fakes.kernels import device_tree, riscv64_image, zimage
from tests.fakes.site import digest, profile
from tests.fakes.wrapped_kernels import ARM64, bzimage_with_release, newc, pe, uimage, with_release, zboot

Output = pytest.CaptureFixture[str]


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize("kind", PACKERS)
def test_a_compressed_image_and_an_efi_zboot_image_become_the_bare_one(kind: str) -> None:
    packed = PACKERS[kind](ARM64)
    assert is_wrapped(packed)
    assert (unwrap(packed, "x").kernel, unwrap(packed, "x").forms) == (ARM64, (kind,))
    image = zboot(packed, kind.encode())
    assert is_wrapped(image)
    assert (unwrap(image, "x").kernel, unwrap(image, "x").forms) == (ARM64, ("EFI zboot",))


@pytest.mark.parametrize("kind", PACKERS)
def test_a_compressed_initrd_is_left_alone(kind: str) -> None:
    assert not is_wrapped(PACKERS[kind](newc("init") * 50))


def test_bare_kernels_are_left_alone() -> None:
    for image in (ARM64, bzimage_with_release("6.1.0"), zimage(), riscv64_image()):
        assert not is_wrapped(image)
        assert unwrap(image, "x").kernel == image


def test_a_unified_kernel_image_comes_apart() -> None:
    tree = device_tree()
    image = pe(
        [
            (".text", b"stub"),
            (".cmdline", b"console=ttyAMA0\nquiet \0garbage"),
            (".ucode", b"microcode"),
            (".initrd", b"an initrd"),
            (".dtb", tree),
            (".uname", b"6.1.0-50-arm64"),
            (".linux", zboot(gzip.compress(ARM64))),
            (".profile", b"ID=other"),
            (".cmdline", b"another"),
        ]
    )
    assert is_wrapped(image)
    found = unwrap(image, "x")
    assert (found.kernel, found.dtb, found.initrds) == (ARM64, tree, (b"microcode", b"an initrd"))
    assert (found.command_line, found.forms) == ("console=ttyAMA0 quiet", ("unified kernel image", "EFI zboot"))


def test_what_u_boot_wraps_is_unwrapped_and_told_apart() -> None:
    assert unwrap(uimage(gzip.compress(ARM64)), "x").kernel == ARM64
    initrd = unwrap(uimage(newc("init"), kind=3), "x")
    assert (initrd.initrds, initrd.kernel, initrd.forms) == ((newc("init"),), b"", ("U-Boot image",))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (uimage(ARM64, crc=1), "not whole"),
        (uimage(ARM64)[:-1], "not whole"),
        (uimage(ARM64)[:20], "ends within"),
        (uimage(ARM64, kind=4), "several files in one"),
        (uimage(ARM64, kind=6), "script"),
        (zboot(gzip.compress(ARM64), missing=5), "of payload"),
        (zboot(b"not packed"), "not known here"),
        (zboot(gzip.compress(ARM64)[:-20]), "break off"),
        (zboot(zstd(ARM64)[:-20], b"zstd"), "break off"),
        (zboot(b"\x02\x21\x4c\x18 lz4", b"lz4"), "lz4 is not unpacked here"),
        (zboot(gzip.compress(b"no kernel" * 500)), "holds no kernel"),
        (b"MZ" + bytes(10), "no unified kernel image"),
        (pe({".text": b"memtest"}), "no unified kernel image"),
        (pe({".linux": b"nothing"}), "holds no kernel"),
    ],
)
def test_what_is_damaged_or_holds_no_kernel_is_refused_by_name(data: bytes, why: str) -> None:
    assert is_wrapped(data)
    with pytest.raises(OperatorError) as caught:
        unwrap(data, "the file")
    assert caught.value.message.startswith("the file: ")
    assert why in caught.value.message
    assert caught.value.hint


def test_a_small_file_that_unpacks_to_very_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(ARM64 + bytes(20 << 20))
    monkeypatch.setattr("bootpilot_server.artifacts.compression.unpack.__defaults__", (16 << 20,))
    with pytest.raises(OperatorError, match="more than 16 MiB"):
        unwrap(packed, "x")


@settings(max_examples=200)
@given(st.data())
def test_no_changed_byte_makes_more_than_a_refusal(data: st.DataObject) -> None:
    image = bytearray(
        data.draw(st.sampled_from([pe({".linux": ARM64, ".initrd": b"i"}), zboot(gzip.compress(ARM64)), uimage(ARM64)]))
    )
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, min(len(image), 400) - 1))] = data.draw(st.integers(0, 255))
    with suppress(OperatorError):
        unwrap(bytes(image[: data.draw(st.integers(1, len(image)))]), "x")
    list(pe_sections(bytes(image)))
    is_wrapped(bytes(image))


@pytest.mark.parametrize(
    ("image", "release"),
    [
        (ARM64, "6.1.0-50-arm64"),
        (bzimage_with_release("6.1.0-50-amd64"), "6.1.0-50-amd64"),
        (with_release(riscv64_image(), "6.12.1-riscv64"), "6.12.1-riscv64"),
        (
            zimage() + b"\x5d\x00\x00 by chance" + gzip.compress(b"Linux version 6.1.0-50-armmp (a@b)") + b"tail",
            "6.1.0-50-armmp",
        ),
        (zimage(), ""),
        (with_release(bytes(56) + b"ARM\x64" + bytes(8000), "%s"), ""),
    ],
)
def test_a_kernel_tells_its_release(image: bytes, release: str) -> None:
    assert kernel_version(image) == release


@pytest.mark.parametrize("kind", [*PACKERS, ""])
def test_an_initrd_tells_for_which_kernels_it_has_modules(kind: str, tmp_path: Path) -> None:
    main_part = newc("lib", "usr/lib/modules/6.1.0-50-arm64/kernel/a.ko", "./lib/modules/6.1.0-51-arm64", "lib/modules/README")
    packed = PACKERS[kind](main_part) if kind else main_part
    for name, content in (("plain", packed), ("microcode first", newc("kernel/x86/microcode/a.bin") + bytes(512) + packed)):
        (tmp_path / name).write_bytes(content)
        with (tmp_path / name).open("rb") as file:
            assert module_versions(file) == ("6.1.0-50-arm64", "6.1.0-51-arm64"), name


@pytest.mark.parametrize(
    "content", [b"", b"no initrd", newc("init")[:50], gzip.compress(newc("lib/modules/x") * 9)[:40], b"\0" * 99]
)
def test_what_is_no_whole_initrd_has_no_modules(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file:
        assert module_versions(file) == ()


def add(bench: Bench, capsys: Output, content: bytes, *options: str) -> dict[str, Any]:
    (bench.folder / "file.efi").write_bytes(content)
    arguments = ["--home", str(bench.server.config.home), "artifact", "add", str(bench.folder / "file.efi"), *options, "--json"]
    assert main(arguments) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_artifact_add_stores_what_kexec_takes_and_says_what_it_is(bench: Bench, capsys: Output) -> None:
    told = add(bench, capsys, zboot(gzip.compress(ARM64)))
    assert (told["sha256"], told["name"], told["forms"]) == (digest(ARM64), "file.efi", ["EFI zboot"])
    assert (told["kernel_arch"], told["kernel_version"]) == ("arm64", "6.1.0-50-arm64")
    assert main(["--home", str(bench.server.config.home), "artifact", "list"]) == 0
    assert "arm64 kernel 6.1.0-50-arm64" in capsys.readouterr().out


def test_artifact_add_makes_a_profiles_lines_of_a_unified_kernel_image(bench: Bench, capsys: Output) -> None:
    image = pe({".linux": ARM64, ".initrd": newc("lib/modules/6.1.0-50-arm64/a"), ".cmdline": b'root="LABEL=a b"'})
    told = add(bench, capsys, image)
    assert [part["name"] for part in told["parts"]] == ["file.efi.linux", "file.efi.initrd"]
    site = bench.apply(profiles__whole=f'expects = "payload-up"\n{told["toml"]}\n')
    assert site.is_usable, site.findings
    whole = site.revision.profiles["whole"]
    assert (whole.kernel.sha256, whole.command_line) == (digest(ARM64), 'root="LABEL=a b"')


def test_as_is_stores_the_file_itself(bench: Bench, capsys: Output) -> None:
    packed = gzip.compress(ARM64)
    told = add(bench, capsys, packed, "--as-is")
    assert (told["sha256"], told["forms"]) == (digest(packed), [])


def test_check_warns_of_an_initrd_whose_modules_are_for_another_kernel(bench: Bench, capsys: Output) -> None:
    def findings(*initrds: bytes) -> list[str]:
        texts = [
            "[[initrd]]\n" + f'sha256 = "{add(bench, capsys, content)["sha256"]}"\nname = "initrd"\n' for content in initrds
        ]
        kernel = add(bench, capsys, ARM64)["sha256"]
        text = f'expects = "none"\n[kernel]\nsha256 = "{kernel}"\n' + "".join(texts)
        applied = bench.apply(profiles__ram_page=profile(), profiles__other=text)
        assert applied.is_usable
        return [finding.reason for finding in applied.findings if finding.warning]

    wrong, right = newc("lib/modules/6.1.0-49-arm64/a.ko"), gzip.compress(newc("lib/modules/6.1.0-50-arm64/a.ko"))
    assert findings(wrong) == ["initrd initrd has modules for 6.1.0-49-arm64, and the kernel is 6.1.0-50-arm64"]
    assert findings(right) == []
    assert findings(wrong, right) == []
    assert findings(newc("init")) == []


def test_what_is_known_of_an_artifact_is_found_out_again_when_its_note_is_gone_or_broken(bench: Bench, capsys: Output) -> None:
    sha256 = add(bench, capsys, ARM64)["sha256"]
    note = bench.server.artifacts.about / f"{sha256}.json"
    for damage in (note.unlink, lambda: note.write_text("{"), lambda: note.write_text('{"edition": 0}')):
        damage()
        assert main(["--home", str(bench.server.config.home), "artifact", "list", "--json"]) == 0
        (shown,) = [item for item in json.loads(capsys.readouterr().out) if item["sha256"] == sha256]
        assert shown["kernel_version"] == "6.1.0-50-arm64"
