"""`opus serve`: the web server, with a supervisor in it unless the configuration says no."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from types import FrameType

import opus_core
from opus_core.allocation import give_back
from opus_core.app import Opus, examples, open_opus
from opus_core.commands.configuration import configuration
from opus_core.facts import about
from opus_core.logs import set_up
from opus_core.serving import Server

log = logging.getLogger(__name__)


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser("serve", help="run the server on this machine")
    parser.add_argument("--port", type=int, help="instead of the one configured; 0: any free one")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; jobs go on running then."""
    config = configuration(args.config)
    give_back()
    set_up(config)
    stop = stopped_by_signal()
    opus = open_opus(config, supervises=config.embedded)
    try:
        if config.path is None:
            offer_examples(opus)
        with Server(opus, port=args.port) as server:
            server.start(supervise=config.embedded)
            print(f"OPUS is at {server.url}/ (data in {config.data_dir}); stop it with Ctrl-C")
            print("", end="", flush=True)
            log.info("serving", extra=about(url=server.url, version=opus_core.__version__))
            stop.wait()
            log.info("stopping")
    finally:
        opus.close()
    return 0


def offer_examples(opus: Opus) -> None:
    """Publish the example jobs in an installation that nobody has configured."""
    folder = examples()
    if folder is not None:
        opus.catalogue.install_examples(folder)


class _Signalled(threading.Event):
    """An event that is set by a handler of signals, and waited for by the main thread."""

    def wait(self, timeout: float | None = None) -> bool:
        # Python runs the handler when the wait is over. A signal that comes between its last look
        # and the wait does not end the wait, so this one is never long.
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(1.0):
            continue
        return True


def stopped_by_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = _Signalled()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    return stop
