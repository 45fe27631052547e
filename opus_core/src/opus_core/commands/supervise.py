"""`opus supervise`: the supervisor alone, beside web servers that have none."""

from __future__ import annotations

import argparse
import logging

import opus_core
from opus_core.app import open_opus
from opus_core.commands.configuration import configuration
from opus_core.commands.serve import stopped_by_signal
from opus_core.facts import about
from opus_core.logs import set_up

log = logging.getLogger(__name__)


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser(
        "supervise", help="hand jobs to the cluster and watch them, beside the web server"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Supervise until SIGTERM or SIGINT; jobs go on running then."""
    config = configuration(args.config)
    set_up(config)
    stop = stopped_by_signal()
    opus = open_opus(config)
    try:
        supervisor = opus.supervisor()
        supervisor.start()
        try:
            print("supervising; stop it with Ctrl-C", flush=True)
            log.info("supervising", extra=about(version=opus_core.__version__))
            stop.wait()
            log.info("stopping")
        finally:
            supervisor.stop()
    finally:
        opus.close()
    return 0
