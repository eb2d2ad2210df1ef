"""The installer's command line: builds the real devices and installs once. The only place that ends the process.

bootpilot-install              install as /etc/bootpilot/install.json says; comes back only where that failed
bootpilot-install --version
bootpilot-install --self-test  is everything here that an installation needs? Exit code 0 or 1
"""

import shutil
import sys
import warnings

from bootpilot_agent import __version__

# All that is started by name; FILTERS and mkfs among them. Not kexec: where there is none (riscv64), the agent makes its calls.
PROGRAMS = (
    "blkid", "chroot", "gzip", "ip", "mke2fs", "mkfs.vfat", "mkswap", "modprobe", "mount", "sfdisk", "udhcpc",
    "umount", "xz", "zstd",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """The exit code; see errors.py for the failures' own."""
    chosen = sys.argv[1:] if arguments is None else arguments
    if chosen == ["--version"]:
        print(f"bootpilot-install {__version__}")
        return 0
    if chosen == ["--self-test"]:
        return self_test()
    if chosen:
        print((__doc__ or "").partition("\n\n")[2], file=sys.stderr)
        return 64
    # requests warns at import that it can guess no encodings; nothing here has any to guess.
    warnings.simplefilter("ignore")
    from bootpilot_install.board import install_on_this_board

    return install_on_this_board()


def self_test() -> int:
    """Says which program is missing."""
    from bootpilot_install import board

    missing = [name for name in PROGRAMS if shutil.which(name, path=board.PROGRAM_FOLDERS) is None]
    for name in missing:
        print(f"missing: {name}")
    print("bootpilot-install: everything is here" if not missing else "bootpilot-install: not usable")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
