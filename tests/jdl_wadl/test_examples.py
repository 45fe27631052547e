"""The examples say in WADL what they say in `definition.json`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from opus_core.backends import NoOptions
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
    check_definition,
)
from opus_jdl_wadl.plugin import WadlJdl

EXAMPLES = sorted(
    path.parent
    for path in (Path(__file__).resolve().parents[2] / "examples").glob("*/definition.json")
)
JDL = WadlJdl(NoOptions())


def described(folder):
    """The description in `definition.json`, of which OPUS has no word for the title."""
    said = json.loads((folder / "definition.json").read_text())
    said.pop("title")
    return JobDefinition(
        **said
        | {
            "parameters": tuple(_parameter(one) for one in said["parameters"]),
            "used": tuple(UsedDescription(**one) for one in said["used"]),
            "generated": tuple(GeneratedDescription(**one) for one in said["generated"]),
        }
    )


def _parameter(said):
    options = tuple(Option(**one) for one in said["options"])
    return ParameterDescription(**said | {"type": ParameterType(said["type"]), "options": options})


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_says_the_same_in_wadl_and_may_be_published(folder):
    script = (folder / "script").read_bytes()
    definition = JDL.loads((folder / "definition.wadl").read_bytes(), {"script": script})
    assert definition == dataclasses.replace(described(folder), script=script.decode())
    check_definition(definition)


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_is_as_opus_writes_it(folder):
    # After a change: `opus jdl convert`, or dumps() of what the test above compares.
    data = (folder / "definition.wadl").read_bytes()
    assert JDL.dumps(JDL.loads(data)).data == data


def test_there_are_examples():
    assert len(EXAMPLES) >= 2
