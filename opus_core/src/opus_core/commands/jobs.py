"""`opus jobs`: what there is to run, how it is, and why; for whoever runs the server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from opus_core.app import open_opus, opened_storage
from opus_core.backends import JobQuery, Storage, User
from opus_core.commands.configuration import configuration
from opus_core.commands.terminal import columns, shown
from opus_core.commands.user import console
from opus_core.errors import BadRequest, UnknownJob
from opus_core.job import ANYONE, Job, JobSummary, Phase
from opus_core.render import json as documents
from opus_core.render.urls import Urls
from opus_core.why import why

_HEAD = ("ID", "PHASE", "DESCRIPTION", "OWNER", "CREATED", "RUN ID")
_SHORTEST = 4  # characters of an id
_SHOWN = 50  # jobs


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser("jobs", help="list, explain and abort jobs, of whomever")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verb = verbs.add_parser("list", help="the newest jobs")
    verb.add_argument(
        "--phase",
        action="append",
        default=[],
        type=str.upper,
        choices=[phase.value for phase in Phase],
        metavar="PHASE",
        help="only jobs of this phase; several times for several",
    )
    verb.add_argument("--owner", metavar="USER", help="only this user's; '' for anonymous ones")
    verb.add_argument("--description", metavar="NAME", help="only of this description")
    verb.add_argument(
        "--last", type=_number, default=_SHOWN, metavar="N", help=f"how many (default: {_SHOWN})"
    )
    verb.add_argument("--json", action="store_true", help="a JSON object on each line")
    for name, what in (
        ("show", "all there is to know of a job, in JSON"),
        ("why", "one sentence: why it is as it is"),
        ("abort", "stop jobs; they are kept"),
    ):
        verb = verbs.add_parser(name, help=what)
        verb.add_argument(
            "ids",
            nargs="+" if name == "abort" else 1,
            metavar="ID",
            help=f"of a job, or its first {_SHORTEST} characters and more",
        )
    parser.set_defaults(run=run)


def _number(said: str) -> int:
    number = int(said)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{said} is not 1 or more")
    return number


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    if args.verb == "abort":
        return _abort(args)
    config = configuration(args.config)
    with opened_storage(config) as storage:
        if args.verb == "list":
            _list(storage, args)
            return 0
        job = _found(storage, args.ids[0])
        if args.verb == "show":
            print(documents.job(job, Urls(config.base_url or "")).decode())
        else:
            print(shown(why(job, storage.health(), manager=config.manager.use)))
    return 0


def _list(storage: Storage, args: argparse.Namespace) -> None:
    query = JobQuery(
        definition=args.description,
        owner=ANYONE if args.owner is None else args.owner or None,
        phases=frozenset(map(Phase, args.phase)),
        last=args.last,
    )
    jobs = storage.get_list(query)
    if args.json:
        for job in jobs:
            print(json.dumps(dict(zip(("id", *_KEYS), _cells(job), strict=True))))
        return
    for line in columns([_HEAD, *map(_cells, jobs)]):
        print(line)


_KEYS = ("phase", "description", "owner", "created", "run_id")


def _cells(job: JobSummary) -> tuple[str, ...]:
    created = _instant(job.created)
    return job.id, job.phase.value, job.definition.name, job.owner or "", created, job.run_id or ""


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def _found(storage: Storage, said: str) -> Job:
    """The job of an id, or of the beginning of one. Raises `UnknownJob`, and `BadRequest` for what
    several begin with."""
    if len(said) < _SHORTEST:
        raise BadRequest(f"{said!r} is too short; {_SHORTEST} characters of an id are the fewest")
    try:
        return storage.read(said.lower(), doomed=True)
    except UnknownJob:
        ids = list(islice(_beginning_with(storage, said.lower()), 2))
    if not ids:
        raise UnknownJob(said)
    if len(ids) > 1:
        raise BadRequest(f"several jobs begin with {said!r}, {' and '.join(ids)} among them")
    return storage.read(ids[0], doomed=True)


def _beginning_with(storage: Storage, said: str) -> Iterator[str]:
    # The text may also be part of run ids, of any number of others.
    query = JobQuery(text=said, phases=frozenset(Phase))
    return (job.id for job in storage.get_list(query) if job.id.startswith(said))


def _abort(args: argparse.Namespace) -> int:
    config = configuration(args.config)
    opus = open_opus(config, supervises=False)
    me = User(name=console(), roles=frozenset({"admin"}))
    try:
        for job in [_found(opus.storage, said) for said in args.ids]:
            after = opus.service.abort(me, job.definition.name, job.id)
            reason = why(after, opus.storage.health(), manager=config.manager.use)
            print(f"{job.id} {after.phase}: {shown(reason)}")
    finally:
        opus.close()
    return 0
