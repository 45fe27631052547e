"""`opus run`: submit a job, follow it, fetch its results; the exit code tells how it ended."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opus_core.commands.terminal import shown
from opus_core.errors import BadRequest
from opus_core.job import Phase
from opus_core.remote import RemoteJob, Service, safe_name

EXIT_CODES: Final = {Phase.COMPLETED: 0, Phase.ERROR: 1, Phase.ABORTED: 3, Phase.ARCHIVED: 3}
_WAIT: Final = 1  # [s]: progress is not a change of phase, so a longer WAIT would not show it
_LEAST_PAUSE: Final = 0.2  # [s] between two questions to a server that does not block
_FRESH: Final = 3.0  # [s] for which a job that runs is asked so often, or a short one shows nothing


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser(
        "run",
        help="submit a job, follow it and fetch its results",
        description="Submit a job to an OPUS or any other UWS server, follow its phases and its"
        " log, and fetch its results.",
        epilog="exit code: 0 COMPLETED, 1 ERROR, 3 ABORTED, 2 for a mistake or an unreachable"
        " server",
    )
    parser.add_argument("name", help="job name, or the URL of the job list of any UWS server")
    parser.add_argument(
        "values", nargs="*", metavar="NAME=VALUE", help="a parameter; NAME=@FILE uploads a file"
    )
    parser.add_argument(
        "--server",
        default=os.environ.get("OPUS_SERVER", "http://127.0.0.1:8080"),
        help="an OPUS server (default: OPUS_SERVER, else %(default)s)",
    )
    parser.add_argument(
        "--token-file", type=Path, help="file with a token; else the variable OPUS_TOKEN"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="folder for the results (default: NAME-ID)"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON at the end")
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended and where its results are."""

    job: RemoteJob
    files: tuple[Path, ...]
    last_line: str  # of its standard output


def run(args: argparse.Namespace) -> int:
    """Run one job."""
    values, files = parse_values(args.values)
    token = os.environ.get("OPUS_TOKEN")
    if args.token_file is not None:
        token = args.token_file.read_text().strip()
    list_url = args.name if "://" in args.name else f"{args.server.rstrip('/')}/rest/{args.name}"
    service = Service(list_url, token=token)
    outcome = run_job(service, values, files, output=args.output, quiet=args.json)
    if args.json:
        document = {
            "job": outcome.job.url,
            "phase": outcome.job.phase,
            "error": outcome.job.error,
            "results": [str(file) for file in outcome.files],
        }
        print(json.dumps(document, indent=2))
    return EXIT_CODES.get(outcome.job.phase, 1)


def parse_values(
    words: Sequence[str],
) -> tuple[list[tuple[str, str]], list[tuple[str, Path]]]:
    """`k=v` and `k=@file` taken apart; `k=@@v` is the value `@v`. Raises `BadRequest`."""
    values: list[tuple[str, str]] = []
    files: list[tuple[str, Path]] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadRequest(f"{word!r} is not NAME=VALUE")
        if value.startswith("@@"):
            values.append((name, value[1:]))
        elif value.startswith("@"):
            path = Path(value[1:])
            if not path.is_file():
                raise BadRequest(f"{word!r}: there is no file {value[1:]!r}")
            files.append((name, path))
        else:
            values.append((name, value))
    return values, files


def run_job(
    service: Service,
    values: list[tuple[str, str]],
    files: list[tuple[str, Path]],
    *,
    output: Path | None = None,
    quiet: bool = False,
) -> Outcome:
    """Create, run and follow a job to its end; Ctrl-C aborts it."""
    url = service.create(values, files)
    say = _Teller(quiet=quiet)
    say.line(f"job {url}")
    try:
        service.run(url)
        job, log = _follow(service, url, say)
    except KeyboardInterrupt:
        say.line("aborting; the job and what it has done so far are kept")
        service.abort(url)
        raise
    name = service.url.rpartition("/")[2]
    folder = output or Path(f"{safe_name(name)}-{safe_name(job.id)[:8]}")
    fetched = tuple(_fetch(service, job, folder, say))
    if job.error:
        say.line(f"{job.phase}: {job.error}")
    return Outcome(job=job, files=fetched, last_line=log.strip().rpartition("\n")[2])


def _follow(service: Service, url: str, say: _Teller) -> tuple[RemoteJob, str]:
    phase: Phase | None = None
    since, log = 0.0, b""
    while True:
        asked = time.monotonic()
        fresh = phase is Phase.EXECUTING and asked - since < _FRESH
        job = service.read(url, wait=0 if fresh else _WAIT, phase=phase)
        if job.phase is not phase:
            phase, since = job.phase, asked
            say.phase(phase)
        if phase in (Phase.QUEUED, Phase.HELD):
            say.detail(job.info.get("waiting", ""))
        else:
            say.detail(" % ".join(filter(None, map(job.info.get, ("progress", "doing")))))
        new = service.follow(f"{url}/stdout", len(log)) if job.phase is not Phase.QUEUED else b""
        say.log(new)
        log += new
        if job.phase.over:
            return job, log.decode("utf-8", "replace")
        time.sleep(max(0.0, _LEAST_PAUSE - (time.monotonic() - asked)))


def _fetch(service: Service, job: RemoteJob, folder: Path, say: _Teller) -> list[Path]:
    fetched = []
    for result_id, url in job.results.items():
        folder.mkdir(parents=True, exist_ok=True)
        path = service.download(url, folder, result_id)
        say.line(f"  {path}  {path.stat().st_size} bytes")
        fetched.append(path)
    return fetched


class _Teller:
    """Prints what happens, each thing once."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._detail = ""
        self._rest = b""

    def line(self, text: str) -> None:
        if not self._quiet:
            print(shown(text), flush=True)

    def phase(self, phase: Phase) -> None:
        self.line(f"{time.strftime('%H:%M:%S')} {phase}")

    def detail(self, text: str) -> None:
        if text and text != self._detail:
            self._detail = text
            self.line(f"{time.strftime('%H:%M:%S')}   {text}")

    def log(self, data: bytes) -> None:
        """Whole lines of the job's log, marked as such."""
        self._rest += data
        while b"\n" in self._rest:
            line, _, self._rest = self._rest.partition(b"\n")
            self.line(f"  | {line.decode('utf-8', 'replace')}")
