"""Straight into the new system, by kexec: found on the disk as the agent finds it at every later boot."""

from bootpilot_agent.attention import Attention
from bootpilot_agent.block_devices import BlockPartition, partitions_of
from bootpilot_agent.boot_note import BOOT_JSON
from bootpilot_agent.cpio import directory, regular
from bootpilot_agent.deadline import Deadline
from bootpilot_agent.devices import Devices
from bootpilot_agent.disk_payload import DiskPayload
from bootpilot_agent.disk_start import DiskStart
from bootpilot_agent.errors import LocalBootError
from bootpilot_agent.hardware import read_board
from bootpilot_agent.inventory import Disk
from bootpilot_agent.kexec_capability import read_kexec_capability
from bootpilot_agent.launch import Launch
from bootpilot_agent.payload import Payload
from bootpilot_agent.plan import Watchdog
from bootpilot_agent.unbinding import unbind_devices
from bootpilot_install.board_note import BoardNote

BUSY_S = 15.0


def start_system(devices: Devices, attention: Attention, arch: str, note: BoardNote, root_partuuid: str, disk: Disk) -> None:
    """Does not come back, or raises AgentError: then the board has to be rebooted, and its disk is whole all the same."""
    told = [directory("bootpilot", 0o700), regular(BOOT_JSON, note.raw, 0o600)]
    roots = [part for part in partitions_of(disk.name, devices.root) if part.partuuid == root_partuuid]
    finder = DiskStart(devices, arch, note.card_partuuid, DiskPayload(devices, arch, told))
    payload = _prepare(finder, roots, attention)
    launch = Launch(devices, attention, arch)
    devices.console.say(f"kexec: loading, with the command line: {payload.command_line}")
    launch.load_kexec(payload, read_kexec_capability(devices.root))
    devices.console.say("jumping into the new system")
    devices.network.down()
    unbind_devices(read_board(devices.root), devices.console.say, devices.root)
    # Whether the new system feeds one is not known.
    attention.release_watchdog(Watchdog.STOP, 0)
    launch.jump()


def _prepare(finder: DiskStart, roots: list[BlockPartition], attention: Attention) -> Payload:
    """What was unmounted a moment ago may be busy for another one. Raises AgentError."""
    deadline = Deadline.after(BUSY_S)
    while True:
        try:
            return attention.attend(lambda: finder.prepare(roots))
        except LocalBootError:
            if deadline.passed():
                raise
        attention.sleep(1.0)
