"""What is written is valid WADL, describes the whole service of a job, and loses nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
from opus_core.errors import CannotCarry
from opus_jdl_wadl.document import MAX_SIZE
from opus_jdl_wadl.plugin import WadlJdl

DATA = Path(__file__).parent / "data"
JDL = WadlJdl(NoOptions())
SCHEMA = etree.XMLSchema(etree.parse(DATA / "wadl.xsd"))
W = {"w": "http://wadl.dev.java.net/2009/02"}

NASTY = (
    "",
    " ",
    "\n\t \r\n",
    " both ends ",
    "one\rtwo\r\nthree\tfour\n",
    "\"quoted\" 'twice' <b>&amp;</b> ]]> <!-- --> <?x?> &#13;",
    "\u202egnp.exe \u05e9\u05dc\u05d5\u05dd \u2028\x85\xa0",
    "\U0001f52d\U0001f469\u200d\U0001f680 \ufeff",
    "choices='a|b'",
    "None",
    "0",
    "true",
)
ANY = st.sampled_from(NASTY) | st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\r\n"),
    max_size=12,
)
# What is published has such names; drafts may have any.
TOKEN = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,9}", fullmatch=True)
NAMES = TOKEN | st.sampled_from(("PHASE", "WAIT", "result-id", "EXECUTIONDURATION", "job-id"))


def definitions(names):
    """Any description at all, publishable or not; every field of every class is drawn."""
    parameters = st.builds(
        ParameterDescription,
        name=names,
        type=st.sampled_from(ParameterType),
        description=ANY,
        default=st.none() | ANY,
        required=st.booleans(),
        repeated=st.booleans(),
        options=st.lists(st.builds(Option, value=ANY, description=ANY), max_size=2).map(tuple),
        minimum=st.none() | ANY,
        maximum=st.none() | ANY,
        unit=ANY,
        ucd=ANY,
        utype=ANY,
    )
    used = st.builds(
        UsedDescription,
        name=names,
        description=ANY,
        default=st.none() | ANY,
        required=st.booleans(),
        content_type=ANY,
        role=ANY,
        multiplicity=ANY,
        url=ANY,
    )
    generated = st.builds(
        GeneratedDescription,
        name=names,
        description=ANY,
        default=ANY,
        required=st.booleans(),
        content_type=ANY,
        role=ANY,
        multiplicity=ANY,
    )
    return st.builds(
        JobDefinition,
        name=names,
        description=ANY,
        doculink=ANY,
        contact_name=ANY,
        contact_email=ANY,
        type=ANY,
        subtype=ANY,
        version=ANY,
        parameters=st.lists(parameters, max_size=3).map(tuple),
        used=st.lists(used, max_size=2).map(tuple),
        generated=st.lists(generated, max_size=2).map(tuple),
        script=ANY | st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
        execution_duration=st.none() | st.integers(),
        quote=st.none() | st.integers(),
        options=st.dictionaries(ANY, ANY, max_size=2),
        extensions=st.dictionaries(ANY, ANY, max_size=2),
    )


def there_and_back(definition):
    bundle = JDL.dumps(definition)
    return JDL.loads(bundle.data, bundle.files)


def document(definition):
    return etree.fromstring(JDL.dumps(definition).data)


@settings(max_examples=300, deadline=None)
@given(definitions(NAMES | ANY))
def test_what_is_written_comes_back_equal(definition):
    assert there_and_back(definition) == definition


@settings(max_examples=100, deadline=None)
@given(definitions(NAMES))
def test_what_is_written_is_valid_wadl(definition):
    SCHEMA.assertValid(document(definition))


def test_the_schema_refuses_what_the_original_wrote():
    assert not SCHEMA.validate(etree.parse(DATA / "ctbin.wadl"))


@pytest.mark.parametrize("sample", ["ctbin", "islands", "bare"])
def test_what_the_original_wrote_comes_back_equal(sample):
    definition = JDL.loads((DATA / f"{sample}.wadl").read_bytes())
    assert there_and_back(definition) == definition
    SCHEMA.assertValid(document(definition))


def test_unset_and_empty_stay_apart():
    unset = JobDefinition(
        name="x", parameters=(ParameterDescription(name="a"),), used=(UsedDescription(name="b"),)
    )
    empty = replace(
        unset,
        parameters=(ParameterDescription(name="a", default="", minimum="", maximum=""),),
        used=(UsedDescription(name="b", default=""),),
        execution_duration=0,
        quote=0,
    )
    assert there_and_back(unset) == unset
    assert there_and_back(empty) == empty


def test_a_mapping_of_any_class_is_written():
    definition = JobDefinition(name="x", options=MappingProxyType({"memory": "4 GB"}))
    assert there_and_back(definition).options == {"memory": "4 GB"}


def test_the_script_lies_beside_the_document_byte_for_byte():
    definition = JobDefinition(name="x", script="#!/bin/sh\r\necho \0 \u2603\r")
    bundle = JDL.dumps(definition)
    assert bundle.files == {"script": b"#!/bin/sh\r\necho \0 \xe2\x98\x83\r"}
    assert b"echo" not in bundle.data
    assert JDL.dumps(JobDefinition(name="x")).files == {}


def test_writing_twice_gives_the_same_bytes():
    definition = JDL.loads((DATA / "ctbin.wadl").read_bytes())
    assert JDL.dumps(definition) == JDL.dumps(there_and_back(definition))


# -- the service it describes


def tree(resource):
    """The methods of a resource and of all below it, by path."""
    base = resource.get("path")
    found = {base: [method.get("name") for method in resource.iterfind("w:method", W)]}
    for child in resource.iterfind("w:resource", W):
        found |= {f"{base}/{path}": methods for path, methods in tree(child).items()}
    return found


def fields(application, method):
    """The query parameters that the method of that id takes."""
    params = application.iterfind(f".//w:method[@id='{method}']/w:request//w:param", W)
    return [param.get("name") for param in params]


def test_the_whole_service_of_a_job_is_described():
    application = document(JobDefinition(name="count"))
    (jobs,) = application.iterfind("w:resources/w:resource", W)
    assert tree(jobs) == {
        "count": ["GET", "POST"],
        "count/sync": ["GET", "POST"],
        "count/{job-id}": ["GET", "DELETE", "POST"],
        "count/{job-id}/phase": ["GET", "POST"],
        "count/{job-id}/executionduration": ["GET", "POST"],
        "count/{job-id}/destruction": ["GET", "POST"],
        "count/{job-id}/error": ["GET"],
        "count/{job-id}/quote": ["GET"],
        "count/{job-id}/owner": ["GET"],
        "count/{job-id}/results": ["GET"],
        "count/{job-id}/results/{result-id}": ["GET"],
        "count/{job-id}/results/{result-id}/ticket": ["POST"],
        "count/{job-id}/results.zip": ["GET"],
        "count/{job-id}/parameters": ["GET", "POST"],
        "count/{job-id}/parameters/{parameter-name}": ["GET", "PUT"],
        "count/{job-id}/stdout": ["GET"],
        "count/{job-id}/stderr": ["GET"],
    }
    assert fields(application, "list_jobs") == ["PHASE", "LAST", "AFTER"]
    assert fields(application, "get_job") == ["WAIT", "PHASE"]
    assert fields(application, "control_job") == ["ACTION"]
    assert fields(application, "create_job") == [
        "PHASE",
        "RUNID",
        "EXECUTIONDURATION",
        "DESTRUCTION",
    ]


def test_prefixes_mean_what_they_look_like():
    application = document(JobDefinition(name="count"))
    assert application.nsmap == {
        None: "http://wadl.dev.java.net/2009/02",
        "xs": "http://www.w3.org/2001/XMLSchema",
        "uws": "http://www.ivoa.net/xml/UWS/v1.0",
        "opus": "urn:opus:jdl:1",
    }


def test_inputs_are_described_once_and_referred_to_elsewhere():
    definition = JobDefinition(
        name="count",
        parameters=(ParameterDescription(name="1:bins", description="Bins"),),
        used=(UsedDescription(name="list"),),
    )
    application = document(definition)
    assert fields(application, "create_job")[:3] == ["PHASE", "1:bins", "list"]
    ids = {one.get("id"): one.get("name") for one in application.iterfind(".//w:param[@id]", W)}
    references = application.iterfind(".//w:method[@id='set_job_parameters']//w:param", W)
    assert [ids[one.get("href").removeprefix("#")] for one in references] == ["1:bins", "list"]
    options = application.iterfind(".//w:param[@name='parameter-name']/w:option", W)
    assert [one.get("value") for one in options] == ["1:bins", "list"]


def test_it_is_indented_for_people():
    data = JDL.dumps(JobDefinition(name="x", description="a\n b")).data
    assert b'\n      <doc title="description">a\n b</doc>\n      <doc>' in data


def test_the_original_finds_what_it_looks_for():
    definition = JDL.loads((DATA / "ctbin.wadl").read_bytes())
    written = document(definition)
    # All it takes: the id that the schema does not allow.
    request = written.find(".//w:method[@id='create_job']/w:request", W)
    params = {one.get("name"): one for one in request if one.get("name") not in (None, "PHASE")}
    assert list(params) == [one.name for one in definition.inputs()]
    for entry in definition.inputs():
        param = params[entry.name]
        assert param[0].text == entry.description
        assert param.get("default") == entry.default
        assert param.get("required") == str(entry.required).lower()
        assert (param.get("type") == "xs:anyURI") == isinstance(entry, UsedDescription)
    options = written.find(".//w:param[@name='result-id']", W)
    results = [(one.get("value"), one.get("mediaType"), one[0].text) for one in options]
    assert results == [
        (one.name, one.content_type, one.description) for one in definition.generated
    ]
    assert written.find(".//w:doc[@title='description']", W).text == definition.description
    assert written.find(".//w:param[@name='EXECUTIONDURATION']", W).get("default") == "60"
    assert written.find(".//w:representation[@id='quote']", W) is not None


# -- what cannot be carried


def with_text(text):
    """A description with that text in places of every sort, and what they are called."""
    definition = JobDefinition(
        name="x",
        contact_name=text,
        parameters=(
            ParameterDescription(name="p", default=text, options=(Option(value=text),)),
            ParameterDescription(name=text),
        ),
        options={"memory": text, text: "4 GB"},
    )
    places = (
        "contact_name",
        "parameters['p'].default",
        f"parameters['p'].options[{text!r}].value",
        f"parameters[{text!r}].name",
        "options['memory']",
        f"options[{text!r}]",
    )
    return definition, places


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x0b", "\ud800", "\ufffe", "\uffff"])
def test_a_character_that_xml_does_not_have_is_named_by_its_fields(character):
    definition, places = with_text(f"a{character}b")
    with pytest.raises(CannotCarry) as caught:
        JDL.dumps(definition)
    assert caught.value.fields == places
    assert JDL.dumps(definition, lossy=True) == JDL.dumps(
        JobDefinition(name="x", parameters=(ParameterDescription(name="p"),))
    )


def test_a_script_has_to_be_text_but_any_text():
    with pytest.raises(CannotCarry, match=r"cannot carry script$"):
        JDL.dumps(JobDefinition(name="x", script="\udcff"))


def test_a_description_whose_own_name_cannot_be_carried_is_not_written():
    with pytest.raises(CannotCarry):
        JDL.dumps(JobDefinition(name="\0"), lossy=True)


def test_more_than_is_read_again_is_not_written():
    definition = JobDefinition(
        name="x", description="d" * MAX_SIZE, doculink="l" * 1000, contact_name="n"
    )
    with pytest.raises(CannotCarry, match=r"at most 1048576 bytes cannot carry description$"):
        JDL.dumps(definition)
    assert JDL.dumps(definition, lossy=True) == JDL.dumps(replace(definition, description=""))


def test_no_more_is_left_out_than_has_to_be():
    escaped = "\r" * (MAX_SIZE // 16)  # takes five times as much
    definition = JobDefinition(
        name="x", description=escaped, doculink=escaped, type=escaped, version=escaped
    )
    with pytest.raises(CannotCarry) as caught:
        JDL.dumps(definition)
    assert len(caught.value.fields) == 1
    (field,) = caught.value.fields
    assert JDL.loads(JDL.dumps(definition, lossy=True).data) == replace(definition, **{field: ""})


def test_what_has_no_texts_to_leave_out_is_not_written_at_all():
    definition = JobDefinition(name="", parameters=(ParameterDescription(name=""),) * 5000)
    with pytest.raises(CannotCarry):
        JDL.dumps(definition, lossy=True)


def test_a_long_script_is_no_matter_of_the_documents_size():
    definition = JobDefinition(name="x", script="s" * (2 * MAX_SIZE))
    assert there_and_back(definition) == definition
