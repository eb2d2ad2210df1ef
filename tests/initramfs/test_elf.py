"""Reading ELF files that real compilers made, for 64 and 32 bits."""

import shutil
import subprocess
from pathlib import Path

import pytest

from initramfs.elf import is_elf, needed_libraries, read_elf, read_section
from initramfs.errors import BuildError

TIMEOUT_S = 60


def compile_c(compiler: str, source: str, output: Path, *options: str) -> Path:
    text = output.with_suffix(".c")
    text.write_text(source)
    argv = [compiler, *options, "-nostdlib", "-o", str(output), str(text)]
    subprocess.run(argv, check=True, capture_output=True, timeout=TIMEOUT_S)
    return output


def library(folder: Path, name: str, *needs: str, compiler: str = "gcc") -> Path:
    folder.mkdir(exist_ok=True)
    options = ["-shared", f"-Wl,-soname,{name}", "-Wl,--no-as-needed", f"-L{folder}", *(f"-l:{need}" for need in needs)]
    return compile_c(compiler, f"int {name.split('.')[0]};", folder / name, *options)


@pytest.mark.parametrize(("compiler", "bits", "machine"), [("gcc", 64, 62), ("arm-linux-gnueabihf-gcc", 32, 40)])
def test_needed_names_are_read_from_64_and_32_bit_files(tmp_path: Path, compiler: str, bits: int, machine: int) -> None:
    library(tmp_path, "libone.so.1", compiler=compiler)
    elf = read_elf(library(tmp_path, "libtwo.so.2", "libone.so.1", compiler=compiler).read_bytes())
    assert (elf.bits, elf.machine, elf.needed) == (bits, machine, ("libone.so.1",))


def test_a_program_names_its_dynamic_loader() -> None:
    busybox = read_elf(Path("/bin/sh").read_bytes())
    assert busybox.interpreter.startswith("/lib")
    assert "libc.so.6" in busybox.needed


def test_libraries_of_libraries_are_found_and_the_first_folder_wins(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    for folder in (near, far):
        library(folder, "libbottom.so.1")
    library(far, "libmiddle.so.1", "libbottom.so.1")
    shutil.copy(far / "libmiddle.so.1", near)
    top = library(near, "libtop.so.1", "libmiddle.so.1")
    (near / "libmiddle.so.1").unlink()
    assert needed_libraries([top], [near, far]) == {
        "libbottom.so.1": near / "libbottom.so.1",
        "libmiddle.so.1": far / "libmiddle.so.1",
    }


def test_a_library_that_is_nowhere_is_an_error_that_names_who_wants_it(tmp_path: Path) -> None:
    library(tmp_path, "libgone.so.1")
    top = library(tmp_path, "libtop.so.1", "libgone.so.1")
    (tmp_path / "libgone.so.1").unlink()
    with pytest.raises(BuildError, match=r"libtop\.so\.1 needs libgone\.so\.1"):
        needed_libraries([top], [tmp_path])


def test_a_section_is_found_by_name(tmp_path: Path) -> None:
    source = '__attribute__((section(".modinfo"))) const char facts[] = "depends=a,b";'
    compiled = compile_c("gcc", source, tmp_path / "module.o", "-c").read_bytes()
    assert read_section(compiled, ".modinfo") == b"depends=a,b\0"
    assert read_section(compiled, ".nothing") == b""


@pytest.mark.parametrize("length", [0, 3, 20, 70, 400])
def test_a_file_that_is_cut_off_is_an_error_and_not_a_crash(tmp_path: Path, length: int) -> None:
    content = library(tmp_path, "libone.so.1").read_bytes()[:length]
    with pytest.raises(BuildError):
        read_elf(content)


def test_only_elf_files_count(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("#!/bin/sh\n")
    (tmp_path / "link").symlink_to("/bin/sh")
    assert not is_elf(tmp_path / "text")
    assert not is_elf(tmp_path / "link")
    assert is_elf(library(tmp_path, "libone.so.1"))
