"""`opus check`: is everything right with this installation? One line a finding."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict

from opus_core.app import Opus, open_opus
from opus_core.commands import security
from opus_core.commands.finding import Finding
from opus_core.commands.probe import probe
from opus_core.config import load
from opus_core.definitions import Catalogue, State
from opus_core.errors import OpusError
from opus_core.job import DefinitionRef
from opus_core.routes.health import NO_SUPERVISOR, is_silent
from opus_core.supervisor import check_instance


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser("check", help="find mistakes in an installation")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--probe", action="store_true", help="send a small job through the manager and back"
    )
    parser.add_argument(
        "--security", action="store_true", help="say what an auditor would ask as well"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look at everything; exit code 1 if something is wrong."""
    found = list(findings(args))
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            print(f"{finding.state:8} {finding.subject}: {finding.sentence}")
    return 1 if any(finding.state == "error" for finding in found) else 0


def findings(args: argparse.Namespace) -> Iterator[Finding]:
    """What there is to say, in the order in which things depend on each other."""
    try:
        config = load(args.config)
    except OpusError as error:
        yield Finding("error", "configuration", error.sentence)
        return
    yield Finding("ok", "configuration", str(config.path or "none: all is by default"))
    try:
        opus = open_opus(config)
    except OpusError as error:
        yield Finding("error", "start", error.sentence)
        return
    try:
        yield from _installation(opus)
        if args.security:
            yield from security.findings(opus)
        if args.probe:
            yield from _probe(opus)
    finally:
        opus.close()


def _probe(opus: Opus) -> Iterator[Finding]:
    try:
        for sentence in probe(opus):
            yield Finding("ok", "probe", sentence)
    except OpusError as error:
        yield Finding("error", "probe", error.sentence)


def _installation(opus: Opus) -> Iterator[Finding]:
    config = opus.config
    for plugin in opus.registry.plugins(config):
        if plugin.state == "broken":
            yield Finding("warning", f"plugin {plugin.name}", plugin.cause)
    for extension in opus.extensions:
        yield Finding("ok", f"plugin {extension.name}", extension.about)
        for sentence in extension.warnings():
            yield Finding("warning", f"plugin {extension.name}", sentence)
    for kind in ("storage", "manager", "jdl"):
        backend = getattr(opus, kind)
        yield Finding("ok", kind, f"{backend.name}: {backend.about}")
        for sentence in backend.warnings():
            yield Finding("warning", kind, sentence)
    try:
        check_instance(opus.data_dir, opus.storage)
        yield Finding("ok", "data_dir", str(opus.data_dir.path))
    except OpusError as error:
        yield Finding("error", "data_dir", error.sentence)
    health = opus.storage.health().get("supervisor")
    if health is None or is_silent(health):
        yield Finding("warning", "supervisor", NO_SUPERVISOR)
    else:
        yield Finding("ok", "supervisor", health.sentence)
    if not (config.server.event_url or config.base_url or config.embedded):
        yield Finding(
            "warning",
            "events",
            "jobs cannot report their end, so it shows only at the next poll; set base_url, or"
            " event_url in [server]",
        )
    opus.folders.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(opus.folders.root).free
    if free < config.jobs.min_free:
        yield Finding(
            "error",
            "disk",
            f"{opus.folders.root} has {free} bytes free, less than [jobs] min_free"
            f" ({config.jobs.min_free}): nothing is submitted",
        )
    yield from _descriptions(opus.catalogue)


def _descriptions(catalogue: Catalogue) -> Iterator[Finding]:
    """Every version is read: jobs may be of any."""
    states = catalogue.look()
    for name, state in states.items():
        if isinstance(state, OpusError):
            yield Finding("error", f"definitions/{name}/published", state.sentence)
            continue
        there = catalogue.numbers(name)
        if state.number not in there:
            others = f"write {' or '.join(map(str, there))} into it, or " if there else ""
            yield Finding(
                "error",
                f"definitions/{name}/published",
                f"it names version {state.number}, which is not there; {others}{_publish(name)}",
            )
        for number in there:
            try:
                catalogue.read(DefinitionRef(name, number))
            except OpusError as error:
                at = f"definitions/{name}/versions/{number}"
                if number == state.number:
                    yield Finding("error", at, f"{error.sentence}, or {_publish(name)}")
                else:
                    yield Finding("warning", at, f"{error.sentence}; jobs may be of it")
    if all(isinstance(state, State) and state.withdrawn for state in states.values()):
        yield Finding(
            "warning", "definitions", "no job is described yet; `opus jdl import FILE --publish`"
        )


def _publish(name: str) -> str:
    return f"publish it anew: `opus jdl import FILE --name {name} --publish`"
