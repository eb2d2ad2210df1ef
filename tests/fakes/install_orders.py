"""Orders for the installer, as the server writes them."""

from bootpilot_agent.fields import Json

SYSTEM: dict[str, Json] = {
    "hostname": "web-1.example.org",
    "addressing": "dhcp",
    "address": "",
    "gateway": "",
    "dns": [],
    "users": [],
    "console": "",
    "kernel_arguments": "",
    "first_boot": "",
    "user_data": "",
    "report": True,
}
DISK: dict[str, Json] = {"transports": ["sata", "usb"], "min_bytes": 0, "model": "", "serial": "", "path": "", "wipe": False}
ROOT_ONLY: list[Json] = [{"mount": "/", "fs": "ext4", "size_mib": 0, "label": ""}]


def install_order(
    image: dict[str, Json], *, system: dict[str, Json] | None = None, disk: dict[str, Json] | None = None, **more: Json
) -> dict[str, Json]:
    """One order; `system` and `disk` change what stands in those parts."""
    return {
        "version": 1,
        "image": image,
        "disk": {**DISK, **(disk or {})},
        "partitions": [] if image["kind"] == "disk" else ROOT_ONLY,
        "system": {**SYSTEM, **(system or {})},
        "autonomous_after_s": 300,
        **more,
    }
