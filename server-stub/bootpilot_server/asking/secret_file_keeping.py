"""How long a boot's files with secrets are there: until it has jumped, failed or ended, or its plan is over."""

from bootpilot_server.asking.token_check import is_alive
from bootpilot_server.deciding.records import BootRecord
from bootpilot_server.server import Server
from bootpilot_server.store import boot_records

# No transaction takes so long.
UNRECORDED_S = 300.0


def drop_over(server: Server, now: float) -> list[str]:
    """Delete the files of boots that will not fetch any more; returns their ids. Raises DatabaseUnavailableError."""
    boot_ids = server.secret_files.boots()
    if not boot_ids:
        return []
    with server.database.reading() as connection:
        boots = {boot_id: boot_records.find_boot(connection, boot_id) for boot_id in boot_ids}
        over = [
            boot_id
            for boot_id, boot in boots.items()
            if (boot is None and _is_settled(server, boot_id, now))
            or (boot is not None and (_is_over(boot, now) or not is_alive(connection, boot, now)))
        ]
    for boot_id in over:
        server.secret_files.drop(boot_id)
    return over


def _is_over(boot: BootRecord, now: float) -> bool:
    plan = boot.read_plan()
    fetches_s = sum(value for key in ("valid_s", "fetch_deadline_s") if isinstance(value := plan.get(key), int))
    heard = (boot.handover_at, boot.alive_at, boot.failed_at, boot.done_at)
    return now > boot.planned_at + fetches_s or any(at is not None and at >= boot.planned_at for at in heard)


def _is_settled(server: Server, boot_id: str, now: float) -> bool:
    """The files of a plan are there before the plan is on record; what is older than any transaction belongs to none."""
    return now > server.secret_files.stored_at(boot_id) + UNRECORDED_S
