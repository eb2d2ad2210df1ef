"""How answers look: lines for a person, or one JSON document for a program. Touches only standard output and error."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bootpilot_agent.fields import Json
from bootpilot_server.deciding.rendering import one_line
from bootpilot_server.errors import OperatorError


@dataclass(frozen=True)
class Terminal:
    """Where a command's answer goes. With `as_json` standard output holds JSON and nothing else."""

    as_json: bool

    def tell(self, data: Json, text: str) -> None:
        shown = json.dumps(data, indent=2, ensure_ascii=False) if self.as_json else text
        # JSON from a board may hold half a character (a lone surrogate), which no terminal takes.
        print(shown.encode("utf-8", "replace").decode(), flush=True)

    def confirm(self, what: str, question: str) -> bool:
        """Show what would be done and ask. Raises OperatorError where nobody is there to answer."""
        if self.as_json or not sys.stdin.isatty():
            raise OperatorError("this must be confirmed, and there is no terminal to ask on", "--yes says that it is meant")
        print(f"{what}\n{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def error(self, message: str, hint: str = "") -> None:
        if self.as_json:
            print(json.dumps({"error": message, "hint": hint}), file=sys.stderr)
            return
        print(f"bootpilot: {message}" + (f"\n  hint: {hint}" if hint else ""), file=sys.stderr)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells come from boards: each is one line, whatever is in it."""
    cells = [list(head), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
