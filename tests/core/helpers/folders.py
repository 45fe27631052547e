"""A job with parameters, inputs and results, and its folder."""

from __future__ import annotations

from pathlib import Path

from opus_core.backends import Event
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    ParameterDescription,
    UsedDescription,
)
from opus_core.folder import Folders
from opus_core.job import DefinitionRef, Job, Parameter, now

ID = "0123456789abcdef0123456789abcdef"

DEFINITION = JobDefinition(
    name="stack",
    script="echo $text\n",
    parameters=(
        ParameterDescription(name="text"),
        ParameterDescription(name="many", repeated=True),
        ParameterDescription(name="scale", default="1.5"),
        ParameterDescription(name="not-a-variable"),
        ParameterDescription(name="spectrum"),
    ),
    used=(UsedDescription(name="image"),),
    generated=(
        GeneratedDescription(name="plot", default="plot.svg", required=True),
        GeneratedDescription(name="spectrum", default="s.fits", content_type="image/fits"),
    ),
)


def job(*parameters: Parameter) -> Job:
    return Job(
        id=ID,
        definition=DefinitionRef("stack", 3),
        created=now(),
        tag=f"opus-x-{ID}",
        execution_duration=60,
        parameters=parameters,
    )


def value(name: str, text: str) -> Parameter:
    return Parameter(name=name, value=text)


def write(folders: Folders, one: Job, event: Event | None = None) -> Path:
    folders.write(one, DEFINITION, event=event, host="opus.example.org", backends={"manager": "x"})
    return folders.path(one.id)


def note(folders: Folders, one: Job) -> None:
    results = folders.results(one, DEFINITION).results
    origin = {"host": "opus.example.org", "backends": {"manager": "x"}}
    folders.note_results(one, DEFINITION, results, **origin)


def task(folder: Path) -> list[str]:
    """The entries of `task`, without the NUL that ends each."""
    *entries, rest = (folder / "task").read_bytes().decode().split("\0")
    assert rest == ""
    return entries


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
