"""The words of `bootpilot serve`."""

import argparse
import os
from pathlib import Path

from bootpilot_server.commands.arguments import Verbs, verb


def add_arguments(verbs: Verbs) -> None:
    serve = verb(verbs, "serve", "serve_command:serve", "answer boards and show the status page, until SIGTERM")
    serve.add_argument("--listen", metavar="ADDR:PORT", help="default: port 8080 of every address; port 0 takes a free one")
    serve.add_argument(
        "--operators", metavar="ADDR:PORT", help="serve the pages there, and there only: boards' address then shows none"
    )
    serve.add_argument("--port-file", type=Path, metavar="FILE", help="write the port there once the server listens")
    serve.add_argument(
        "--certificate", type=Path, metavar="FILE", help="speak HTTPS with this certificate (PEM, and its chain)"
    )
    serve.add_argument("--key", type=Path, metavar="FILE", help="the certificate's key (PEM, without a password)")
    serve.add_argument("--allow-simulated", action="store_true", help="accept reports that say their identity is simulated")
    serve.add_argument(
        "--mirror", action="append", metavar="URL", help="a cache of /artifacts/ that plans name first; repeatable"
    )
    serve.add_argument(
        "--workers", type=_count, default=min(4, os.cpu_count() or 1), metavar="N", help="processes (%(default)s)"
    )
    serve.add_argument("--threads", type=_count, default=32, metavar="N", help="requests at once in each process (%(default)s)")


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0
    if not 1 <= number <= 1024:
        raise argparse.ArgumentTypeError("expected a number from 1 to 1024")
    return number
