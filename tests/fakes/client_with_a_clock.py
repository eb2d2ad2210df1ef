"""The agent's transport in a process of its own, whose clock libfaketime gives it: started by tests/agent/test_tls.py.

Arguments: the URL, the CA's file, the floor of the clock, the file in which libfaketime reads the time. Setting the clock
writes that file, so that OpenSSL, too, sees what the agent has set. Says what the agent says, then the answer or the failure.
"""

import datetime
import sys
from pathlib import Path

from bootpilot_agent.deadline import Deadline
from bootpilot_agent.errors import TransportError
from bootpilot_agent.transport import Route, Transport
from bootpilot_agent.wall_clock import WallClock

url, ca_file, floor_s, time_file = sys.argv[1:]


def write_clock(unix_s: float) -> None:
    Path(time_file).write_text(f"@{datetime.datetime.fromtimestamp(unix_s, datetime.UTC):%Y-%m-%d %H:%M:%S}\n")


clock = WallClock(int(floor_s), lambda text: print(text, flush=True), write=write_clock)
transport = Transport(Route(ca_file=ca_file, clock=clock))
try:
    print("answer:", transport.ask("GET", url, deadline=Deadline.after(30)).body.decode())
except TransportError as error:
    print("failure:", error.message, "| hint:", error.hint)
