"""`opus demo`: a server of its own, one real job through it from request to result."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

from opus_core.app import open_opus
from opus_core.commands.run import EXIT_CODES, run_job
from opus_core.commands.serve import offer_examples, stopped_by_signal
from opus_core.config import Config
from opus_core.logs import set_up
from opus_core.remote import Service
from opus_core.sections import Server as ServerTable
from opus_core.serving import Server

log = logging.getLogger(__name__)


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser(
        "demo", help="run an example job on a server made for it, and show what happens"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the server up afterwards, until Ctrl-C"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("opus-demo"), help="folder for the results"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve from a temporary folder, submit the periodogram over HTTP, fetch its results."""
    with tempfile.TemporaryDirectory(prefix="opus-demo-") as folder:
        config = Config(
            data_dir=Path(folder), log_file=Path(folder) / "opus.log", server=ServerTable(port=0)
        )
        set_up(config)
        opus = open_opus(config)
        try:
            offer_examples(opus)
            with Server(opus) as server:
                server.start(supervise=True)
                print(f"a server of its own: {server.url}/")
                print("the strongest period of the yearly sunspot numbers, 1700 to 2008:")
                service = Service(f"{server.url}/rest/periodogram")
                # A finer search than by default, so that there is progress to be seen.
                outcome = run_job(service, [("oversampling", "100")], [], output=args.output)
                code = EXIT_CODES.get(outcome.job.phase, 1)
                if args.keep:
                    stop = stopped_by_signal()
                    print(f"the job's page: {outcome.job.url}  (Ctrl-C ends the server)")
                    print(outcome.last_line, flush=True)
                    stop.wait()
                    return code
                pictures = [str(file) for file in outcome.files if file.suffix == ".svg"]
                print(f"next: look at {', '.join(pictures) or args.output}; `opus serve` starts a")
                print("server that stays, with a form for every job at http://127.0.0.1:8080/")
        finally:
            opus.close()
    print(outcome.last_line, flush=True)
    return code
