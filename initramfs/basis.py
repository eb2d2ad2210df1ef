"""What every image is made of, whatever it is for: an architecture, drivers, a kernel, programs, and perhaps a frozen one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from initramfs.architectures import Architecture
from initramfs.cache import key_of
from initramfs.chroot import prepare_root
from initramfs.drivers import DriverGroup
from initramfs.freeze import Program, freeze_key, frozen
from initramfs.image_folder import builder_digests
from initramfs.kernel import Kernel, fetch_kernel, staged_modules
from initramfs.options import BuildOptions, architecture_named, chosen_groups
from initramfs.packages import Packages, built_unix_s
from initramfs.private_apt import Package, PackageSet
from initramfs.progress import Progress


@dataclass(frozen=True)
class Basis:
    """`groups`: of drivers; `programs`: the packages, on this disk, that the image's programs are taken from."""

    architecture: Architecture
    groups: tuple[DriverGroup, ...]
    packages: Packages
    kernel: Kernel
    programs: tuple[Package, ...]
    progress: Progress

    def build_id(self, image: str, *own_inputs: object) -> str:
        """The image's name in the cache: changes with the basis, the builder's code and the inputs that only this image has."""
        packages = [package.sha256 for package in (*self.programs, self.kernel.package)]
        return key_of(
            [self.architecture.name, packages, [group.name for group in self.groups], builder_digests(image), *own_inputs]
        )

    def freeze_key(self, program: Program) -> str:
        """Changes with anything that the program is made of, frozen among these packages."""
        return freeze_key(program, self.architecture, self.programs)

    def built_unix_s(self, *more: Package) -> int:
        """When the newest of the packages was made."""
        return built_unix_s((*self.programs, *more, self.kernel.package))

    def root(self) -> Path:
        """The programs' packages, unpacked. Raises BuildError."""
        return self.packages.unpacked(self.programs, prepare_root)

    def modules(self) -> Path:
        """The drivers, staged with the indexes of depmod. Raises BuildError."""
        return staged_modules(self.kernel, self.groups, self.architecture, self.root())

    def frozen_and_modules(self, program: Program) -> tuple[Path, Path]:
        """The frozen program's folder, and the same modules; made side by side. Raises BuildError."""
        root = self.root()
        # Freezing keeps one CPU busy for a minute where programs are emulated; the modules need the other one for a while.
        with ThreadPoolExecutor(1) as pool:
            staging = pool.submit(self.modules)
            folder = frozen(program, self.architecture, self.programs, root, self.progress)
            return folder, staging.result()


def basis_of(
    arch: str,
    options: BuildOptions | None,
    programs: Callable[[Architecture], PackageSet],
    groups: tuple[DriverGroup, ...] = (),
) -> Basis:
    """For a Debian architecture (amd64, arm64, armhf, riscv64). `groups`: instead of those that the options choose.

    Raises:
        BuildError: there is no such architecture or group, or packages cannot be fetched.
    """
    options = options or BuildOptions()
    architecture = architecture_named(arch)
    groups = groups or chosen_groups(options.groups)
    packages = Packages(architecture, options.progress, refresh=options.refresh)
    kernel = fetch_kernel(packages, architecture, options.kernel or architecture.kernel_package)
    return Basis(architecture, groups, packages, kernel, packages.resolve(programs(architecture)), options.progress)
