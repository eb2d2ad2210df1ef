"""The words of `bootpilot doctor`."""

from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, verb

DOCTOR = """
  sudo bootpilot --home /srv/boot doctor --url http://boot.example:8080

Looked at: the folder (room, key, database as a whole), the clock, what the DHCP servers of this machine's networks offer, and
whether artifacts come through --url and each mirror as boards would fetch them. DHCP is asked as a board asks, and nothing is
taken; that needs the port of DHCP clients, which on most systems only root may use. Exit status 1 if something is wrong.
"""


def add_arguments(verbs: Verbs) -> None:
    text = "look for what is wrong with this server and its network, and say what to do"
    doctor = verb(verbs, "doctor", "doctor_command:doctor", text, DOCTOR)
    doctor.add_argument("--url", metavar="URL", help="the server's URL as boards are told it, to be resolved and fetched from")
    doctor.add_argument("--ca", type=Path, metavar="FILE", help="the CA that boards believe, if the URL is https")
    doctor.add_argument(
        "--interface", action="append", metavar="NAME", help="ask for DHCP here; every network of this machine if not given"
    )
    doctor.add_argument("--no-dhcp", action="store_true", help="do not ask for DHCP")
