"""`opus client`: the pages alone, for UWS services elsewhere."""

from __future__ import annotations

import argparse
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

from opus_core.app import client_of, form_limits
from opus_core.client import make_client
from opus_core.commands.configuration import configuration
from opus_core.commands.serve import stopped_by_signal
from opus_core.errors import ConfigError
from opus_core.logs import set_up
from opus_core.serving import Web
from opus_core.spool import Spool

log = logging.getLogger(__name__)


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser(
        "client", help="run the web client alone, for UWS services elsewhere"
    )
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="URL",
        help="a job list, or an OPUS server with several; may be given again (default: servers of"
        " [client])",
    )
    parser.add_argument("--host", help="address to listen on instead of the one configured")
    parser.add_argument("--port", type=int, help="instead of the one configured; 0: any free one")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    config = configuration(args.config)
    own = config.client
    try:
        settings = replace(
            own,
            servers=tuple(args.server) or own.servers,
            host=args.host or own.host,
            port=own.port if args.port is None else args.port,
        )
    except ValueError as error:
        raise ConfigError(f"opus client: {error}") from error
    config = replace(config, client=settings)
    if not settings.servers:
        raise ConfigError(
            "say which services the client is for: opus client --server URL, or servers in [client]"
        )
    set_up(config)
    stop = stopped_by_signal()
    client = client_of(config, private=settings.private)
    # What is sent to a service is whole before it is passed on.
    with tempfile.TemporaryDirectory(prefix="opus-client-") as folder:
        spool = Spool(Path(folder), largest=form_limits(config).max_total)
        with Web(
            make_client(client),
            spool,
            host=settings.host,
            port=settings.port,
            threads=config.server.threads,
            table="client",
        ) as web:
            web.begin()
            every = ", ".join(one.url for one in settings.services.every)
            print(f"The OPUS client is at {web.url}/ for {every}; stop it with Ctrl-C")
            print("", end="", flush=True)
            stop.wait()
            log.info("stopping")
    return 0
