"""The words of `bootpilot node ...` and `bootpilot explain`."""

from bootpilot_server.commands import enrolment_arguments, order_arguments, resolution_arguments
from bootpilot_server.commands.arguments import Verbs, sentence, verb
from bootpilot_server.commands.happening_arguments import add_missing

FORGET = """
A board that asks again after that is a new one, with a new id, and waits to be approved. So is a contradiction that is still
there: forget it once the boards that it names have been put right.
"""


def add_arguments(verbs: Verbs) -> None:
    explain = verb(verbs, "explain", "node_commands:explain_node", "tell what a node would boot now, and why")
    explain.add_argument("node", metavar="NODE", help="a node id, its beginning, a serial number or a MAC address")
    node = verbs.add_parser("node", help="the boards this server knows", description=sentence("the boards this server knows"))
    inner = node.add_subparsers(required=True, metavar="COMMAND")
    verb(inner, "list", "node_commands:node_list", "one line for each node")
    add_missing(inner)
    which = "a node id, its beginning, a serial number or a MAC address"
    show = verb(inner, "show", "node_commands:node_show", "one node with its last boot, events and history")
    show.add_argument("node", metavar="NODE", help=which)
    enrolment_arguments.add_approve(inner)
    enrolment_arguments.add_to(inner)
    resolution_arguments.add_to(inner)
    order_arguments.add_to(inner)
    retry = verb(
        inner, "retry-loader", "node_commands:node_retry_loader", "offer newer loaders again to nodes on which they failed"
    )
    retry.add_argument("node", nargs="+", metavar="NODE", help=which)
    forget = verb(inner, "forget", "node_commands:node_forget", "delete nodes with their boots, logs and history", FORGET)
    forget.add_argument("node", nargs="+", metavar="NODE", help=which)
    forget.add_argument("--yes", action="store_true", help="do not ask")
