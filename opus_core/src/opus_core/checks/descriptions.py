"""The job descriptions: every version can be read, and what is published can run here."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from typing import Final

from opus_core.checks.installation import Installation
from opus_core.definition import JobDefinition
from opus_core.definitions import Catalogue
from opus_core.definitions import State as Published
from opus_core.errors import OpusError
from opus_core.finding import Code, Finding, State, ok
from opus_core.job import DefinitionRef

_FIRST_LINE: Final = re.compile(r"#![ \t]*(\S+)[ \t]*(.*)")  # as the wrapper reads it

UNREADABLE: Final = Code(
    "descriptions-unreadable",
    State.ERROR,
    "The folder of all descriptions cannot be read: no server starts.",
    "Give `definitions` in the data folder to the user that runs OPUS.",
)
DAMAGED: Final = Code(
    "description-damaged",
    State.ERROR,
    "What is published of a description cannot be read: it takes no jobs.",
    "Restore its files from a back-up, or publish it anew by `opus jdl import FILE --publish`.",
)
OLD_DAMAGED: Final = Code(
    "description-version-damaged",
    State.WARNING,
    "An older version of a description cannot be read. Jobs may be of it.",
    "Restore its files from a back-up.",
)
NONE: Final = Code(
    "descriptions-missing",
    State.WARNING,
    "No description is published, so there is nothing to run.",
    "`opus jdl import FILE --publish`.",
)
INTERPRETER: Final = Code(
    "script-interpreter-missing",
    State.WARNING,
    "The program that the first line of a script names is not on this machine, where jobs run.",
    "Install it, or mend the first line and publish the description anew.",
)
DURATION: Final = Code(
    "description-duration",
    State.WARNING,
    "A description's execution duration is beyond `[jobs] execution_duration_max`, which cuts it.",
    "Raise the maximum, or publish the description with a shorter one.",
)
OPTIONS: Final = Code(
    "description-options",
    State.WARNING,
    "A description sets options that the manager does not offer: they are ignored, or the job is"
    " refused.",
    "Allow them (for SLURM in `[manager.run_options]`), or publish the description without them.",
)
ACCESS_DAMAGED: Final = Code(
    "access-damaged",
    State.ERROR,
    "The list of those who may run a description cannot be read, so nobody may.",
    "Write it anew by `opus jdl access NAME --allow ...`.",
)
ACCESS_UNKNOWN: Final = Code(
    "access-unknown-user",
    State.WARNING,
    "A description is for a user who has no account.",
    "`opus user add`, or take the name off the list by `opus jdl access NAME --allow ...`.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """Open the catalogue and read all of it: jobs may be of any version."""
    registry, config, jdl = installation.registry, installation.config, installation.jdl
    data_dir = installation.data_dir
    if registry is None or config is None or jdl is None or data_dir is None:
        return
    catalogue = Catalogue(data_dir.path / "definitions", jdl, registry.jdls(config))
    try:
        states = catalogue.look()
    except OpusError as error:
        yield UNREADABLE("definitions", error.sentence)
        return
    installation.catalogue = catalogue
    found: list[Finding] = []
    for name, state in states.items():
        if isinstance(state, OpusError):
            found.append(DAMAGED(f"definitions/{name}/published", state.sentence))
            continue
        found += _versions(catalogue, name, state)
        found += _access(installation, catalogue, name)
        if not state.withdrawn:
            found += _published(installation, catalogue, name, state.number)
    yield from found
    offered = [one for one in states.values() if isinstance(one, Published) and not one.withdrawn]
    if not offered and not installation.trial:
        yield NONE("definitions", "no job is described yet; `opus jdl import FILE --publish`")
    elif offered and not found:
        names = ", ".join(state.name for state in offered)
        yield ok("definitions", f"{names}: every version can be read")


def _versions(catalogue: Catalogue, name: str, state: Published) -> Iterator[Finding]:
    there = catalogue.numbers(name)
    if state.number not in there:
        others = f"write {' or '.join(map(str, there))} into it, or " if there else ""
        yield DAMAGED(
            f"definitions/{name}/published",
            f"it names version {state.number}, which is not there; {others}{_publish(name)}",
        )
    for number in there:
        try:
            catalogue.read(DefinitionRef(name, number))
        except OpusError as error:
            at = f"definitions/{name}/versions/{number}"
            if number == state.number:
                yield DAMAGED(at, f"{error.sentence}, or {_publish(name)}")
            else:
                yield OLD_DAMAGED(at, f"{error.sentence}; jobs may be of it")


def _publish(name: str) -> str:
    return f"publish it anew: `opus jdl import FILE --name {name} --publish`"


def _published(
    installation: Installation, catalogue: Catalogue, name: str, number: int
) -> Iterator[Finding]:
    """Whether new jobs of it can run as it says."""
    try:
        definition = catalogue.read(DefinitionRef(name, number))
    except OpusError:
        return  # has been told
    subject = f"definitions/{name}"
    config, manager = installation.config, installation.manager
    longest = config.jobs.execution_duration_max if config is not None else 0
    wanted = definition.execution_duration
    if longest and wanted is not None and not 0 < wanted <= longest:
        yield DURATION(
            subject,
            f"its execution duration ({wanted or '0, no limit'}) is beyond [jobs]"
            f" execution_duration_max ({longest}), which its jobs get; raise that, or publish it"
            " with a shorter one",
        )
    if manager is None:
        return
    offered = {option.name for option in manager.run_options(manager.options)}
    if strange := sorted(definition.options.keys() - offered):
        yield OPTIONS(
            subject,
            f"it sets {', '.join(strange)}, which the {manager.name} manager does not offer here:"
            " its jobs are run without or refused; allow that in [manager], or publish it without",
        )
    if not manager.far:
        yield from _interpreter(subject, definition)


def _interpreter(subject: str, definition: JobDefinition) -> Iterator[Finding]:
    found = _FIRST_LINE.match(definition.script)
    if found is None:
        return  # bash runs it
    program, rest = found.groups()
    named = program
    if os.path.basename(program) == "env":
        words = [word for word in rest.split() if not word.startswith("-") and "=" not in word]
        named = words[0] if words else program
    if shutil.which(named) is None:
        yield INTERPRETER(
            subject,
            f"its script begins with {found[0].strip()}, and there is no {named} on this machine"
            " (as this user finds programs); install it, or mend the line and publish it anew",
        )


def _access(installation: Installation, catalogue: Catalogue, name: str) -> Iterator[Finding]:
    subject = f"definitions/{name}/access"
    try:
        entries = catalogue.access.of(name).entries
    except OpusError as error:
        yield ACCESS_DAMAGED(
            subject,
            f"{error.sentence}; nobody may, until `opus jdl access {name} --allow ...` writes it"
            " anew",
        )
        return
    people, config, registry = installation.people, installation.config, installation.registry
    if people is None or config is None or registry is None:
        return
    if config.auth.user_header or registry.hooks.named("opus_authenticate"):
        return  # others know their users
    known = {account.name for account in people.all()}
    for entry in entries:
        kind, _, user = entry.partition(" ")
        if kind == "user" and user not in known:
            yield ACCESS_UNKNOWN(
                subject,
                f"{user} may run it, who has no account; `opus user add {user}`, or take the name"
                f" off by `opus jdl access {name} --allow ...`",
            )
