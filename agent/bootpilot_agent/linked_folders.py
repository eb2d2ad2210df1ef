"""Where a payload's files must not go: below folders that are symbolic links in it. No I/O here."""

from bootpilot_agent.fields import FieldError

# Symbolic links of a system with merged /usr (file-hierarchy(7)), and of every Debian: the kernel removes what is in the way
# of an archive's folder (init/initramfs.c, clean_path), and with /lib goes the dynamic loader.
LINKED_FOLDERS = {
    **{f"/{name}": f"/usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32")},
    "/var/run": "/run",
    "/var/lock": "/run/lock",
}


def check_unlinked(name: str, path: str) -> None:
    """Not below a folder that is a symbolic link in the payload. Raises FieldError that says where to put the file instead."""
    for link, target in LINKED_FOLDERS.items():
        if f"{path}/".startswith(f"{link}/"):
            instead = target + path.removeprefix(link)
            raise FieldError(
                name, f"{instead} ({link} is a link to {target}, and a folder of that name would replace it)", path
            )
