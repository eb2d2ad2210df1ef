"""The words of `bootpilot rollout ...`."""

from bootpilot_server.commands.arguments import Verbs, add_deed, add_where, sentence, verb

CREATE = """
  bootpilot rollout create autumn --where 'label.rack = [r7, r8]' --profile debian-13 --wave 1,20,500,rest \\
      --max-concurrent 200 --stop-at 3% --soak 10m

Boards that are approved and that the selector means get the profile when they ask, as long as the open wave has room; all
others have what rules give them. The next wave opens when every node of the last one is well or has failed, the last of them
for as long as the soak; at so many failures the rollout stops. A profile that writes a disk is installed once on each node,
under the rollout's name: a rule with install = "autumn" afterwards finds it done. The rollout stands before rules and before a
node's own profile, after orders given for a node by name; `bootpilot explain NODE` says so.
When all is well: put the profile into the rules, `bootpilot apply`, and `bootpilot rollout finish autumn`.
"""
ABORT = """
No further node is reached. Those that were keep the profile, or with --back get at their next boot what they had before.
"""
FINISH = """
The rollout is over for good and counts no more: every node gets what rules give it.
"""
SPANS = "a number with s, m, h or d, such as 10m"


def add_arguments(verbs: Verbs) -> None:
    text = "give many boards another profile, wave by wave, and stop when it goes wrong"
    rollout = verbs.add_parser("rollout", help=text, description=sentence(text))
    inner = rollout.add_subparsers(required=True, metavar="COMMAND")
    create = verb(inner, "create", "rollout_commands:create", "begin a rollout", CREATE)
    create.add_argument("name", metavar="NAME", help="lower-case letters, digits, - and _")
    add_where(create, "which boards", required=True)
    create.add_argument("--profile", required=True, metavar="PROFILE", help="what they get: one of the revision in force")
    create.add_argument("--wave", default="1,20,500,rest", metavar="SIZES", help="nodes in each wave (1,20,500,rest)")
    create.add_argument("--max-concurrent", type=int, default=0, metavar="N", help="so many nodes at once; 0: a whole wave")
    create.add_argument("--stop-at", default="3%", metavar="N|P%", help="stop at N failures, or P%% of the waves so far; 3%%")
    create.add_argument("--soak", default="0s", metavar="SPAN", help=f"how long a wave must have been settled: {SPANS}")
    add_deed(create)
    listing = verb(inner, "list", "rollout_commands:listing", "all rollouts, and how far they are")
    listing.add_argument("--all", action="store_true", help="finished ones too")
    show = verb(inner, "show", "rollout_commands:show", "one rollout, its waves, failed nodes and history")
    show.add_argument("name", metavar="NAME")
    for name, told, more in (
        ("pause", "reach no further nodes for now", ""),
        (
            "resume",
            "go on, also after it stopped itself",
            "What failed so far goes on counting; --stop-at N sets the limit anew.",
        ),
        ("abort", "reach no further nodes, for good", ABORT),
        ("finish", "end a rollout: rules decide again", FINISH),
    ):
        parser = verb(inner, name, f"rollout_commands:{name}", told, more)
        parser.add_argument("name", metavar="NAME")
        if name == "abort":
            parser.add_argument("--back", action="store_true", help="give the nodes that were reached their former profile")
        if name == "resume":
            parser.add_argument("--stop-at", metavar="N|P%", help="a new limit of failures")
        add_deed(parser)
