"""`opus check`: is everything right with this installation? One line a finding."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import opus_core
from opus_core import checks
from opus_core import job as jobs
from opus_core.checks import Installation, probe, rights, security
from opus_core.commands.terminal import columns, shown
from opus_core.finding import Code, Finding, State
from opus_core.plugins import Registry
from opus_core.render.text import instant


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser(
        "check",
        help="find mistakes in an installation",
        epilog="Exit code: 0: nothing is wrong; 1: something is; 2: nothing could be looked at.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quiet", "-q", action="store_true", help="print only what is wrong")
    parser.add_argument(
        "--strict", action="store_true", help="warnings are wrong enough for exit code 1"
    )
    parser.add_argument(
        "--as",
        dest="users",
        action="append",
        default=[],
        metavar="USER",
        help="as root: try what this user, who runs OPUS, may read and write; several times for"
        " several (default: the owner of the data folder)",
    )
    parser.add_argument(
        "--probe", action="store_true", help="send a small job through the manager and back"
    )
    parser.add_argument(
        "--security", action="store_true", help="say what an auditor would ask as well"
    )
    parser.add_argument(
        "--list", action="store_true", help="look at nothing: list all that can be found"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look at everything; exit code 1 if something is wrong."""
    if args.list:
        _list(list(checks.all_codes(Registry.installed())), as_json=args.json)
        return 0
    installation = Installation(
        named=args.config, as_users=rights.named(args.users), probes=args.probe
    )
    further = [
        *((security.findings,) if args.security else ()),
        *((probe.findings,) if args.probe else ()),
    ]
    found: list[Finding] = []
    for finding in checks.findings(installation, *further):
        found.append(finding)
        if not args.json and not (args.quiet and finding.state is State.OK):
            print(line(finding), flush=True)
    if args.json:
        wanted = [one for one in found if not (args.quiet and one.state is State.OK)]
        print(json.dumps(_document(installation, wanted, found), indent=2))
    wrong = (State.ERROR, State.WARNING) if args.strict else (State.ERROR,)
    return 1 if any(finding.state in wrong for finding in found) else 0


def line(finding: Finding) -> str:
    """How it is told to people."""
    told = shown(f"{finding.state:8} {finding.subject}: {finding.sentence}")
    return told if finding.state is State.OK else f"{told} [{finding.code}]"


def _document(
    installation: Installation, wanted: Sequence[Finding], found: Sequence[Finding]
) -> dict[str, object]:
    """How it is told to programs."""
    config = installation.config
    path: Path | None = installation.named if config is None else config.path
    states = [finding.state for finding in found]
    return {
        "version": opus_core.__version__,
        "host": socket.gethostname(),
        "time": instant(jobs.now()),
        "configuration": None if path is None else str(path),
        "errors": states.count(State.ERROR),
        "warnings": states.count(State.WARNING),
        "findings": [asdict(finding) for finding in wanted],
    }


def _list(listed: Sequence[Code], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_row(code) for code in listed], indent=2))
        return
    for text in columns([*_cells(listed)]):
        print(text)


def _cells(listed: Sequence[Code]) -> Iterator[tuple[str, ...]]:
    yield ("CODE", "STATE", "")
    for code in listed:
        yield (code.name, code.state, code.cause)


def _row(code: Code) -> dict[str, str]:
    return {"code": code.name, "state": code.state, "cause": code.cause, "way_out": code.way_out}
