from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given

from opus_core import notation
from opus_core.definition import GeneratedDescription, JobDefinition, ParameterDescription
from opus_core.errors import BadInput, BadRequest, JdlError
from opus_core.testing import strategies


@given(strategies.definitions())
def test_what_is_written_comes_back(definition):
    data = json.dumps(asdict(definition)).encode()
    assert notation.loads(data, definition.name) == definition


def test_the_name_is_that_of_the_address():
    data = json.dumps({"name": "../etc", "number": 3}).encode()
    assert notation.loads(data, "fit") == JobDefinition(name="fit")
    with pytest.raises(BadRequest, match="cannot be the name of a job"):
        notation.loads(b"{}", "../etc")


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ({"description": 1}, {"description": "description is to be a text"}),
        ({"colour": "red"}, {"colour": "'colour' is nothing that is said of a description"}),
        ({"parameters": {}}, {"parameters": "parameters is to be a list of 1000 entries at most"}),
        ({"parameters": ["a"]}, {"parameters.0": "an entry is to be an object"}),
        ({"parameters": [{}]}, {"parameters.0.name": "name is missing"}),
        (
            {"parameters": [{"name": "a"}, {"name": "b", "type": "complex", "required": "yes"}]},
            {
                "parameters.1.type": (
                    "type is to be one of string, boolean, unsignedByte, short, int, long, float,"
                    " double, dateTime, anyURI"
                ),
                "parameters.1.required": "required is to be true or false",
            },
        ),
        (
            {"parameters": [{"name": "a", "options": [{"value": 1}]}]},
            {"parameters.0.options.0.value": "value is to be a text"},
        ),
        ({"quote": True}, {"quote": "quote is to be a whole number of seconds"}),
        ({"options": {"a": 1}}, {"options": "options is to be an object of texts"}),
        (
            {"generated": [{"name": "a", "type": "x"}]},
            {"generated.0.type": "'type' is nothing that is said of a result"},
        ),
        ([], {"": "a job description is an object of JSON"}),
    ],
)
def test_what_is_not_of_its_kind_is_told_where_it_stands(content, faults):
    with pytest.raises(BadInput) as caught:
        notation.loads(json.dumps(content).encode(), "fit")
    assert caught.value.faults == faults


@pytest.mark.parametrize("data", [b"", b"{", b"\xff{}", b"[" * 100_000])
def test_what_is_no_json_is_told(data):
    with pytest.raises(JdlError, match="JSON"):
        notation.loads(data, "fit")


def test_what_keeps_it_from_being_published_is_told_for_each_entry():
    definition = JobDefinition(
        name="fit",
        parameters=(
            ParameterDescription(name="a b"),
            ParameterDescription(name="low", minimum="1", maximum="2"),
            ParameterDescription(name="LOW"),
        ),
        generated=(
            GeneratedDescription(name="plot", default="../plot"),
            GeneratedDescription(name="plot"),
        ),
        quote=-1,
    )
    assert set(notation.faults(definition)) == {
        "parameters.0.name",
        "parameters.1.minimum",
        "parameters.2.name",
        "generated.0.default",
        "generated.1.name",
        "quote",
        "script",
    }
    fit = JobDefinition(name="fit", script="true")
    assert notation.faults(fit) == {}
    assert set(notation.faults(replace(fit, name="availability"))) == {"name"}
