"""Why no tree can be made. No I/O here."""

from bootpilot_agent.errors import AgentError


class CaptureError(AgentError):
    """What was given is not what scripts/capture-board makes, or the place for the tree is taken."""

    stage = "board-tree"
    exit_code = 1
