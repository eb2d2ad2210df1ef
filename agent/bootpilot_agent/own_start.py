"""What the system on the board's disk is told about a boot: by a server's plan, or, without one, by the board itself.

Makes boot.json and, where no server knows of the boot, report.json beside it. Reads and writes no device.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from bootpilot_agent.boot_note import BootNote, Origin, make_lone_note
from bootpilot_agent.cpio import Entry, regular
from bootpilot_agent.mark import Mark
from bootpilot_agent.network import Candidate
from bootpilot_agent.payload import note_entries
from bootpilot_agent.plan import BY_ITSELF, LastAttempt, Lease
from bootpilot_agent.report import Board, Boot, make_report, new_boot_id
from bootpilot_agent.settings import Settings

REPORT_JSON = "bootpilot/report.json"
NO_LEASE = Lease("", "", "", "", (), "")


def planned_archive(note: BootNote) -> list[Entry]:
    """For a `local` plan: as for any payload."""
    return note_entries(note, [])


def lone_archive(
    mark: Mark, board: Board, settings: Settings, origin: Origin, ways: Sequence[Candidate], last_attempt: LastAttempt | None
) -> list[Entry]:
    """For a boot that no server knows of: the system tells it later. `ways` are the leases that there are, the best first."""
    way = ways[0] if ways else Candidate(NO_LEASE, "", ())
    # No question had this boot_id, so no token is needed; the card's secret is not for the disk.
    boot = Boot(new_boot_id(), last_attempt)
    report = replace(make_report(board, way.lease, boot), booted=BY_ITSELF, enrol="")
    note = make_lone_note(mark, boot.boot_id, way, settings, origin)
    return [*note_entries(note, []), regular(REPORT_JSON, json.dumps(report.to_json()).encode(), 0o600)]
