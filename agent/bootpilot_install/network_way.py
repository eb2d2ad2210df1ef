"""The way back to the boot server: the interface, address, VLAN and CA that the loader had, as boot.json tells them."""

import ipaddress
import time
from collections.abc import Callable

from bootpilot_agent.conversation import pin_ca
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.devices import Devices
from bootpilot_agent.servers import Found, Search
from bootpilot_agent.settings import Settings
from bootpilot_install.board_note import BoardNote

__all__ = ["Found", "find_server", "settings_of", "silence_deadline"]

SEARCH_S = 300.0
# A server that is being restarted, or a switch, comes back; a board that waited so long asks for a new plan instead.
SILENT_S = 1800.0


def settings_of(note: BoardNote) -> Settings:
    """The agent's settings as the loader had them in the end. All interfaces are tried: their names may be others now."""
    static = note.method == "static"
    return Settings(
        servers=(note.server,),
        server_source=note.server_source,
        ca=note.ca,
        https_only=note.server.startswith("https:"),
        address=with_prefix(note.address) if static else "",
        gateway=note.gateway if static else "",
        dns=note.dns if static else (),
        vlan=note.vlan,
    )


def with_prefix(address: str) -> str:
    """A loader may have had an address alone; then it stands for itself."""
    return str(ipaddress.ip_interface(address))


def find_server(note: BoardNote, devices: Devices, idle: Callable[[float], object]) -> Found:
    """The server that gave the plan, over whichever interface it answers. Raises NetworkError."""
    settings = settings_of(note)
    devices.folder.mkdir(parents=True, exist_ok=True)
    ca_file = pin_ca(settings, devices.folder, devices.wall_clock)
    search = Search(settings, ca_file, devices.console.say, devices.chance, devices.clock, devices.wall_clock)
    found = search.find(devices.network.candidates, idle, Deadline.after(SEARCH_S, devices.clock))
    devices.network.use(found.way.candidate)
    devices.console.say(f"boot server: {found.way}")
    return found


def silence_deadline(limit_s: float = SILENT_S) -> tuple[Deadline, Callable[[], None]]:
    """A deadline that every byte puts off, and what to call for each: an image may take hours over a slow line."""
    last_s = time.monotonic()

    def heard() -> None:
        nonlocal last_s
        last_s = time.monotonic()

    return Deadline(limit_s, lambda: time.monotonic() - last_s), heard
