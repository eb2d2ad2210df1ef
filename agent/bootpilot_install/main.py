"""THE INSTALLATION, as one list of steps. Knows their order and nothing else; `steps.py` acts on the board.

What it leaves behind is always one of two things: a disk without a mark, which nothing boots from, or a whole system with one.
"""

from dataclasses import dataclass
from typing import Protocol

from bootpilot_agent.fields import Json
from bootpilot_agent.install_order import ImageKind, InstallOrder
from bootpilot_agent.inventory import Disk
from bootpilot_install.board_note import BoardNote
from bootpilot_install.stages import Stage


@dataclass(frozen=True)
class Job:
    """What is to be done, and for which node."""

    order: InstallOrder
    note: BoardNote


class Steps(Protocol):
    """What the flow needs from the board. All raise AgentError."""

    def read_job(self) -> Job: ...
    def load_drivers(self) -> None: ...
    def start_network(self, job: Job) -> None: ...
    def tell(self, stage: Stage, **data: Json) -> None: ...
    def choose_disk(self, job: Job) -> Disk: ...
    def reckon(self, job: Job, disk: Disk) -> None: ...
    def destroy_marks(self, disk: Disk) -> None: ...
    def partition(self, disk: Disk) -> None: ...
    def make_file_systems(self) -> None: ...
    def write_files(self, job: Job) -> None: ...
    def write_disk_image(self, job: Job, disk: Disk) -> None: ...
    def set_up(self, job: Job) -> None: ...
    def unmount(self, disk: Disk) -> None: ...
    def write_mark(self, job: Job, disk: Disk) -> None: ...
    def tell_done(self, job: Job) -> None: ...
    def start_system(self, job: Job, disk: Disk) -> None: ...


def install(steps: Steps) -> None:
    """From the order to the running system. Raises AgentError, or does not come back."""
    job = steps.read_job()
    steps.load_drivers()
    steps.start_network(job)
    disk = steps.choose_disk(job)
    steps.reckon(job, disk)
    steps.tell(Stage.GUARD, disk=disk.name, size_bytes=disk.size_bytes)
    steps.destroy_marks(disk)
    steps.tell(Stage.UNMARKED)
    if job.order.image.kind is ImageKind.DISK:
        steps.write_disk_image(job, disk)
    else:
        steps.partition(disk)
        steps.tell(Stage.PARTITIONED)
        steps.make_file_systems()
        steps.tell(Stage.FORMATTED)
        steps.write_files(job)
    steps.tell(Stage.WRITTEN)
    steps.set_up(job)
    steps.tell(Stage.CONFIGURED)
    steps.unmount(disk)
    steps.tell(Stage.FLUSHED)
    steps.write_mark(job, disk)
    steps.tell(Stage.MARKED)
    steps.tell_done(job)
    steps.start_system(job, disk)
