"""What the original OPUS writes is read as it was meant; what we write the original can read."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from lxml import etree

from opus_core.backends import NoOptions
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.errors import CannotCarry, JdlError
from opus_jdl_votable.plugin import VotableJdl
from opus_jdl_wadl.document import MAX_SIZE

DATA = Path(__file__).parent / "data"
JDL = VotableJdl(NoOptions())
NS = {"v": "http://www.ivoa.net/xml/VOTable/v1.3"}

COUNT = JobDefinition(
    name="count",
    description="Counts events\nin a list",
    doculink="http://example.org/count",
    contact_name="A. Person",
    type="analysis",
    version="1.2",
    parameters=(
        ParameterDescription(
            name="emin",
            type=ParameterType.DOUBLE,
            description="Lowest energy",
            default="0.1",
            minimum="0.01",
            maximum="100",
            unit="TeV",
            ucd="em.energy",
        ),
        ParameterDescription(
            name="proj",
            default="TAN",
            required=True,
            options=(Option(value="TAN", description="Gnomonic"), Option(value="a,b")),
        ),
        ParameterDescription(name="when", type=ParameterType.DATETIME),
    ),
    used=(UsedDescription(name="events", content_type="application/fits", required=True),),
    generated=(GeneratedDescription(name="counts", default="counts.csv", content_type="text/csv"),),
    script="#!/bin/bash\n\tcount \"$events\" > '$counts' && echo <&>\n",
    execution_duration=600,
    quote=120,
)


def document(inside: str, head: str = 'name="count" utype="voprov:ActivityDescription"') -> bytes:
    return (
        f'<VOTABLE xmlns="{NS["v"]}" version="1.3"><RESOURCE {head} type="meta">{inside}'
        "</RESOURCE></VOTABLE>"
    ).encode()


def test_a_document_as_the_original_writes_it():
    data = (DATA / "echo_vot.xml").read_bytes()
    assert JDL.recognises(data[:4096])
    assert JDL.loads(data) == JobDefinition(
        name="echo",
        description="Writes a text into a file",
        contact_name="The admins",
        contact_email="admins@example.org",
        type="trial",
        subtype="short",
        version="1",
        parameters=(
            ParameterDescription(
                name="words",
                description="What is written",
                default="Hello there",
                required=True,
            ),
        ),
        generated=(
            GeneratedDescription(
                name="said",
                description="The file with the text in it",
                default="said.txt",
                content_type="text/plain",
            ),
        ),
        script='sleep 1\r\nprintf %s "$words" > "$said"\r\n',
        execution_duration=20,
        quote=10,
    )


def test_a_whole_description_is_in_the_originals_words_and_comes_back():
    bundle = JDL.dumps(COUNT)
    assert bundle.files == {}
    assert JDL.loads(bundle.data) == COUNT
    root = etree.fromstring(bundle.data)
    [emin] = root.xpath("//v:GROUP[@name='InputParams']/v:PARAM[@name='emin']", namespaces=NS)
    assert dict(emin.attrib) == {
        "ID": "emin",
        "name": "emin",
        "datatype": "double",
        "value": "0.1",
        "type": "no_query",
        "unit": "TeV",
        "ucd": "em.energy",
    }
    [script] = root.xpath("//v:PARAM[@name='script']/@value", namespaces=NS)
    assert script == COUNT.script
    assert root.xpath("//v:GROUP[@name='More']", namespaces=NS) == []


def test_what_is_written_is_a_votable():
    """By the schema of the IVOA, wherever astropy has left one on this machine."""
    places = Path("/usr/lib/python3/dist-packages/astropy/io/votable/data")
    file = places / "VOTable.v1.3.xsd"
    if not file.exists():
        pytest.skip(f"there is no {file}; Debian's python3-astropy has it")
    schema = etree.XMLSchema(etree.parse(file))
    more = JobDefinition(name="1", options={"a": "b"}, parameters=(ParameterDescription(name="x"),))
    for one in (COUNT, more, JobDefinition(name="least")):
        schema.assertValid(etree.fromstring(JDL.dumps(one).data))


def test_what_the_original_has_no_words_for_stands_by_itself():
    odd = JobDefinition(
        name="odd",
        parameters=(ParameterDescription(name="many", repeated=True, default=""),),
        used=(UsedDescription(name="maybe"),),
        generated=(GeneratedDescription(name="must", required=True),),
        script="a\x0bb\0\r\n",
        options={"memory": "2 GB"},
        extensions={"wadl:x": "\ud800"},
    )
    data = JDL.dumps(odd).data
    assert JDL.loads(data) == odd
    root = etree.fromstring(data)
    said = root.xpath("//v:GROUP[@name='More']/v:PARAM", namespaces=NS)
    assert {one.get("name"): one.get("value") for one in said} == {
        "parameters.0.repeated": "true",
        "parameters.0.default": '""',
        "used.0.required": "false",
        "generated.0.required": "true",
        "script": '"a\\u000bb\\u0000\\r\\n"',
        "options": '{"memory": "2 GB"}',
        "extensions": '{"wadl:x": "\\ud800"}',
    }


@pytest.mark.parametrize("tied", ['ref="list"', ""])
def test_a_file_that_the_original_has_in_two_places_is_one_input(tied):
    xtype = "" if tied else 'xtype="application/octet-stream"'
    found = JDL.loads(
        document(
            f"""<GROUP name="InputParams">
            <PARAM ID="list" name="list" datatype="char" arraysize="*" value="" type="no_query"
                {xtype}><DESCRIPTION>Events</DESCRIPTION></PARAM>
            <PARAM name="n" datatype="int" value="1"/></GROUP>
            <GROUP name="Used"><GROUP name="list" {tied}>
            <PARAM name="content_type" datatype="char" arraysize="*" value="text/csv"/>
            <PARAM name="url" datatype="char" arraysize="*" value="file://$ID"/></GROUP></GROUP>"""
        )
    )
    assert [one.name for one in found.parameters] == ["n"]
    assert found.used == (
        UsedDescription(
            name="list", description="Events", content_type="text/csv", url="file://$ID"
        ),
    )


def test_a_file_that_is_among_the_parameters_alone():
    param = (
        '<PARAM name="f" datatype="char" arraysize="*" value="" xtype="application/octet-stream"/>'
    )
    found = JDL.loads(document(f'<GROUP name="InputParams">{param}</GROUP>'))
    assert (found.parameters, found.used) == ((), (UsedDescription(name="f", required=True),))


def test_any_version_of_votable_and_what_else_is_in_it():
    text = document("<INFO name='x' value='y'/><TABLE/>").decode()
    for namespace in ("http://www.ivoa.net/xml/VOTable/v1.1", ""):
        found = JDL.loads(text.replace(NS["v"], namespace).encode())
        assert found == JobDefinition(name="count")
    several = text.replace("<RESOURCE", "<RESOURCE name='data'/><RESOURCE", 1).encode()
    assert JDL.loads(several).name == "count"


@pytest.mark.parametrize(
    ("inside", "line", "words"),
    [
        ('\n<PARAM name="executionDuration" value="1 h"/>', 2, "expected whole seconds"),
        ('\n\n<PARAM name="quote" value="-1"/>', 3, "expected whole seconds"),
        (
            '\n<GROUP name="InputParams">\n<PARAM name="x" datatype="bit" value=""/></GROUP>',
            3,
            "the datatype 'bit'",
        ),
        ('<GROUP name="More">\n<PARAM name="nothing" value="1"/></GROUP>', 2, "'nothing'"),
        ('<GROUP name="More">\n<PARAM name="script" value="{"/></GROUP>', 2, "'script'"),
        ('<GROUP name="More">\n<PARAM name="used.7.name" value="1"/></GROUP>', 2, "'used.7.name'"),
        ('<GROUP name="More">\n<PARAM name="used" value="[]"/></GROUP>', 2, "'used'"),
        ('<GROUP name="More">\n<PARAM name="__class__.x" value="1"/></GROUP>', 2, "__class__"),
        ('<GROUP name="More"><PARAM name="script" value="7"/></GROUP>', 0, "script"),
        ('<GROUP name="More"><PARAM name="options" value="[1]"/></GROUP>', 0, "options"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(inside, line, words):
    with pytest.raises(JdlError) as refused:
        JDL.loads(document(inside))
    assert words in refused.value.sentence
    assert refused.value.line == line


@pytest.mark.parametrize(
    "data", [b"<VOTABLE/>", b"<VOTABLE><RESOURCE/></VOTABLE>", b"<TABLE/>", b"<RESOURCE/>"]
)
def test_a_table_of_data_is_no_description(data):
    assert not JDL.recognises(data)


def test_what_is_too_large_is_named():
    large = JobDefinition(name="x", script="y" * (MAX_SIZE + 1), description="kept")
    with pytest.raises(CannotCarry) as refused:
        JDL.dumps(large)
    assert refused.value.fields == ("script",)
    assert JDL.loads(JDL.dumps(large, lossy=True).data) == JobDefinition(
        name="x", description="kept"
    )


def test_a_script_beside_a_document_that_has_none():
    data = JDL.dumps(JobDefinition(name="x")).data
    assert JDL.loads(data, {"script": b"true\n"}).script == "true\n"
    with pytest.raises(JdlError):
        JDL.loads(data, {"script": b"\xff"})
    own = JDL.dumps(JobDefinition(name="x", script="own\n"))
    assert JDL.loads(own.data, {"script": b"true\n"}).script == "own\n"


def test_the_plugin_is_found_by_its_entry_point():
    (entry,) = (one for one in entry_points(group="opus") if one.name == "votable")
    assert entry.load().opus_register_jdl() is VotableJdl
