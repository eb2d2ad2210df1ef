"""`bootpilot serve`: opens everything once to find what is wrong, then listens, says where, and serves until told to stop."""

import argparse
import logging
import os
import sys
from dataclasses import replace

from flask import Flask

from bootpilot_server.commands.terminal import Terminal
from bootpilot_server.config import Config, read_mirrors
from bootpilot_server.errors import OperatorError
from bootpilot_server.server import open_server, read_config
from bootpilot_server.serving.gunicorn_worker import BROKEN_REQUESTS
from bootpilot_server.serving.presence import hold
from bootpilot_server.serving.rollout_watch import RolloutWatch
from bootpilot_server.serving.serving import Listen, Workers, open_default_listener, open_listener, run, url_of, write_port_file
from bootpilot_server.serving.tls_certificate import ServerCertificate
from bootpilot_server.serving.upkeep import Upkeep
from bootpilot_server.web.app import create_app

# Of a worker's threads, this part may be busy with downloads: a report always finds a free one.
DOWNLOAD_SHARE = 0.75


def serve(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Returns when the server was told to stop. Raises OperatorError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    config = _config(arguments)
    open_server(config, create=True).database.close()
    served = hold(config.home)
    certificate = _certificate(arguments)
    listener = open_listener(Listen.from_text(arguments.listen)) if arguments.listen else open_default_listener()
    bound, port = listener.getsockname()[:2]
    people = open_listener(Listen.from_text(arguments.operators, "--operators")) if arguments.operators else None
    door: tuple[str, int] | None = people.getsockname()[:2] if people else None
    workers = Workers(arguments.workers, arguments.threads)

    def make_app() -> Flask:
        downloads = max(1, int(workers.threads * DOWNLOAD_SHARE))
        server = open_server(config, create=False, downloads=downloads)
        Upkeep(server).start()
        RolloutWatch(server).start()
        return create_app(server, BROKEN_REQUESTS, door)

    def ready() -> None:
        scheme = "https" if certificate else "http"
        url = url_of(bound, port, scheme)
        pages = url_of(*door, scheme) if door else url
        if arguments.port_file:
            write_port_file(arguments.port_file, port)
        text = f"boot server: {url}/\nstatus page: {pages}/" if door else f"boot server and status page: {url}/"
        text += f"\nits folder: {config.home}"
        text += "\nsimulated boards are welcome" if config.allow_simulated else ""
        terminal.tell({"url": url, "port": port, "operators_url": pages, "home": str(config.home)}, text)

    run(make_app, [listener, *([people] if people else [])], workers, ready, certificate)
    os.close(served)
    return 0


def _certificate(arguments: argparse.Namespace) -> ServerCertificate | None:
    if bool(arguments.certificate) != bool(arguments.key):
        raise OperatorError("--certificate and --key go together", "with both, the server speaks HTTPS and nothing else")
    return ServerCertificate(arguments.certificate, arguments.key) if arguments.certificate else None


def _config(arguments: argparse.Namespace) -> Config:
    config = read_config(arguments.home)
    mirrors = read_mirrors(arguments.mirror) if arguments.mirror else config.mirrors
    return replace(config, allow_simulated=config.allow_simulated or arguments.allow_simulated, mirrors=mirrors)
