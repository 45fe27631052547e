"""What the original OPUS wrote, and what people made of it, is read as it was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
    check_definition,
)
from opus_core.errors import JdlError
from opus_jdl_wadl.reader import read

DATA = Path(__file__).parent / "data"

DOCUMENT = """\
<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:opus="urn:opus:jdl:1"
    xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <resources>
    <resource id="joblist" path="count">
      <method id="create_job" name="POST"><request>{inputs}</request></method>
      {rest}
    </resource>
  </resources>
</application>
"""


def described(inputs="", rest=""):
    return read(DOCUMENT.format(inputs=inputs, rest=rest).encode())


def parameter(attributes, inside=""):
    (only,) = described(f'<param name="x" {attributes}>{inside}</param>').parameters
    return only


def result(attributes):
    (only,) = described(
        rest=f'<param style="template" name="result-id"><option value="x" {attributes}/></param>'
    ).generated
    return only


# -- whole files


def test_the_description_of_a_real_observatory_is_read_and_may_be_published():
    ctbin = check_definition(read((DATA / "ctbin.wadl").read_bytes()))
    assert ctbin.name == "ctbin"
    assert ctbin.description.startswith("CTOOLS command to generate a counts cube")
    assert (ctbin.execution_duration, ctbin.quote) == (60, 20)
    assert [one.name for one in ctbin.parameters] == (
        "outfile prefix ebinalg emin emax enumbins ebinfile usepnt nxpix nypix binsz coordsys xref"
        " yref axisrot proj chatter clobber debug mode logfile".split()
    )
    assert ctbin.used == (
        UsedDescription(
            name="evfile",
            description="Input event list or observation definition file",
            default="events.fits",
            required=True,
        ),
    )
    assert ctbin.generated == (
        GeneratedDescription(
            name="outfile",
            description="Output counts map or observation definition file",
            default="cntmap.fits",
            content_type="image/fits",
        ),
        GeneratedDescription(
            name="logfile",
            description="Log filename",
            default="ctbin.log",
            content_type="text/plain",
        ),
    )
    assert ctbin.find("enumbins") == ParameterDescription(
        name="enumbins",
        type=ParameterType.LONG,
        description="Number of energy bins",
        default="20",
        required=True,
    )
    assert ctbin.extensions == {}


def test_the_choices_of_a_real_observatory_are_its_attributes_and_a_lone_zero_is_none():
    ctbin = read((DATA / "ctbin.wadl").read_bytes())
    choices = {one.name: [option.value for option in one.options] for one in ctbin.parameters}
    assert {name: values for name, values in choices.items() if values} == {
        "ebinalg": ["FILE", "LIN", "LOG"],
        "coordsys": ["CEL", "GAL"],
        "proj": ["AIT", "AZP", "CAR", "MER", "STG", "TAN"],
    }


def test_islands_without_namespace_in_another_encoding_with_crlf_are_read():
    assert read((DATA / "islands.wadl").read_bytes()) == JobDefinition(
        name="spectrum",
        description="Fits a spectrum,\nto an event list",
        doculink="https://example.org/spectrum",
        contact_name="René Dupont",
        contact_email="rene@example.org",
        parameters=(
            ParameterDescription(
                name="configuration",
                description='Configuration, choices="north|south|low elevation"',
                default="north",
                required=True,
                options=(
                    Option(value="north"),
                    Option(value="south"),
                    Option(value="low elevation"),
                ),
            ),
            ParameterDescription(
                name="contours",
                type=ParameterType.INT,
                description="0: none, 1: two, 2: all, choices = '0|1|2'",
                default="1",
                required=True,
                options=(Option(value="0"), Option(value="1"), Option(value="2")),
            ),
            ParameterDescription(name="prefix", description="Prefix, e.g. a|b|c", default="c"),
            ParameterDescription(
                name="emin",
                type=ParameterType.DOUBLE,
                description="Lowest energy",
                default="0.4",
                required=True,
                minimum="0.01",
                maximum="100",
                unit="TeV",
            ),
            ParameterDescription(name="wobble", description="Offset", default="2"),
        ),
        used=(
            UsedDescription(
                name="events", description="Event list", default="events.fits", required=True
            ),
            UsedDescription(name="reference"),
        ),
        generated=(
            GeneratedDescription(
                name="fit", description="Points", default="fit.csv", content_type="text/csv"
            ),
            GeneratedDescription(name="prefix", default="fit.png", content_type="image/png"),
        ),
        execution_duration=600,
        quote=300,
        extensions={"wadl:type:wobble": "xs:complex"},
    )


def test_no_namespace_no_ids_on_methods_fields_in_the_form_and_references_are_read():
    assert read((DATA / "bare.wadl").read_bytes()) == JobDefinition(
        name="count",
        contact_name="A. Person",
        version="1.2",
        parameters=(
            ParameterDescription(
                name="bins",
                type=ParameterType.LONG,
                default="20",
                repeated=True,
                options=(
                    Option(value="20"),
                    Option(value="40", description="fine"),
                    Option(value="80", description="finer"),
                ),
                minimum="1",
                ucd="meta.number",
            ),
            ParameterDescription(name="scale", default="log", options=(Option(value="log"),)),
        ),
        used=(UsedDescription(name="list", description="A list", required=True),),
        generated=(
            GeneratedDescription(name="counts", default="counts.csv", content_type="text/csv"),
        ),
        extensions={"wadl:type:bins": "xs:positiveInteger"},
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-15"])
def test_the_encoding_is_the_one_declared_or_marked(encoding):
    text = (DATA / "bare.wadl").read_text().replace("A. Person", "René €")
    declared = encoding.removesuffix("-sig")
    data = f"<?xml version='1.0' encoding='{declared}'?>\n{text}".encode(encoding)
    assert read(data).contact_name == "René €"


# -- words


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("true", True),
        ("True", True),
        (" YES ", True),
        ("1", True),
        ("false", False),
        ("False", False),
        ("no", False),
        ("0", False),
        ("", False),
    ],
)
def test_required_is_said_in_many_ways(word, meant):
    assert parameter(f'required="{word}"').required is meant


def test_a_parameter_that_does_not_say_so_is_not_required():
    assert parameter("").required is False


@pytest.mark.parametrize("prefix", ["xs:", "xsd:", "anything:", "", " "])
@pytest.mark.parametrize("kind", ParameterType)
def test_a_type_counts_without_its_prefix(prefix, kind):
    read_type = parameter(f'type="{prefix}{kind.value}" opus:kind="parameter"').type
    assert read_type is kind


def test_a_type_is_read_in_any_case():
    assert parameter('type="xs:datetime"').type is ParameterType.DATETIME


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("xs:integer", ParameterType.LONG),
        ("xs:byte", ParameterType.SHORT),
        ("xs:decimal", ParameterType.DOUBLE),
        ("cluster:gpu", ParameterType.STRING),
        ("", ParameterType.STRING),
    ],
)
def test_an_unknown_type_becomes_a_wider_one_and_is_remembered(word, meant):
    definition = described(f'<param name="x" type="{word}"/>')
    assert definition.parameters[0].type is meant
    assert definition.extensions == {"wadl:type:x": word}


@pytest.mark.parametrize("word", ["file", "xs:anyURI", "anyURI", "xs:File"])
def test_a_file_or_address_is_used_not_a_parameter(word):
    definition = described(
        f'<param name="x" type="{word}" content_type="text/csv" default="" opus:role="in"/>'
    )
    assert definition.parameters == ()
    assert definition.used == (UsedDescription(name="x", content_type="text/csv", role="in"),)


def test_an_address_that_we_call_a_parameter_is_one():
    definition = described('<param name="x" type="xs:anyURI" opus:kind="parameter"/>')
    assert definition.used == ()
    assert definition.parameters[0].type is ParameterType.ANYURI


# -- unset and empty


def test_an_empty_default_or_limit_is_none_unless_it_is_ours():
    assert parameter('default="" min="" max=""') == ParameterDescription(name="x")
    assert parameter('opus:default="" opus:min="" opus:max=""') == ParameterDescription(
        name="x", default="", minimum="", maximum=""
    )


def test_a_default_is_text_whatever_the_type():
    assert parameter('type="xs:boolean" default="no"').default == "no"


def test_a_fixed_value_is_the_default_and_the_only_choice():
    one = parameter('fixed="RUN"')
    assert (one.default, one.options) == ("RUN", (Option(value="RUN"),))


def test_without_duration_and_quote_none_are_known():
    definition = described(rest='<representation id="quote" default="None"/>')
    assert (definition.execution_duration, definition.quote) == (None, None)


def test_a_duration_of_zero_is_no_limit_and_not_unknown():
    definition = described(rest='<param name="EXECUTIONDURATION" default="0"/>')
    assert definition.execution_duration == 0


# -- choices


def test_option_children_go_before_an_attribute_and_that_before_the_text():
    text = '<doc>choices="e|f"</doc>'
    both = parameter('choices="c|d"', f'{text}<option value="a"/>')
    assert [one.value for one in both.options] == ["a"]
    assert [one.value for one in parameter('choices="c| d |"', text).options] == ["c", "d"]
    assert [one.value for one in parameter("", text).options] == ["e", "f"]


def test_a_list_in_prose_is_documentation():
    assert parameter('default="CAR"', "<doc>Projection, e.g. AIT|AZP|CAR</doc>").options == ()


def test_an_empty_attribute_of_choices_does_not_hide_that_there_are_none():
    assert parameter('choices=""', "<doc>choices='a|b'</doc>").options == ()


def test_what_we_wrote_ourselves_has_no_choices_in_its_text():
    assert parameter('opus:kind="parameter"', "<doc>choices='a|b'</doc>").options == ()


# -- control parameters


@pytest.mark.parametrize("name", ["PHASE", "RUNID", "runId", "EXECUTIONDURATION", "WAIT"])
def test_parameters_of_the_service_are_not_the_jobs(name):
    assert described(f'<param name="{name}"/>').parameters == ()


def test_an_orbital_phase_is_kept():
    assert [one.name for one in described('<param name="phase"/>').parameters] == ["phase"]


def test_a_header_or_a_part_of_the_path_is_no_parameter():
    assert described('<param style="header" name="x"/><param style="template" name="y"/>') == (
        JobDefinition(name="count")
    )


def test_a_parameter_whose_name_is_also_a_results_stays_both():
    definition = described(
        '<param name="map" default="map.fits"/>',
        '<param style="template" name="result-id"><option value="map"/></param>',
    )
    assert definition.parameters == (ParameterDescription(name="map", default="map.fits"),)
    assert definition.generated == (GeneratedDescription(name="map"),)


def test_an_input_called_as_the_services_own_is_not_taken_for_it():
    definition = described(
        '<param name="result-id" opus:kind="parameter"><option value="a"/></param>'
        '<param name="EXECUTIONDURATION" opus:kind="parameter" default="5"/>',
        '<param style="template" name="result-id"><option value="map"/></param>',
    )
    assert [one.name for one in definition.generated] == ["map"]
    assert definition.execution_duration is None


# -- results and text


def test_the_media_type_of_a_result_has_two_names():
    assert result('content_type="text/csv"').content_type == "text/csv"
    assert result('mediaType="text/csv"').content_type == "text/csv"


def test_a_result_is_required_only_if_it_says_so():
    assert result("").required is False
    assert result('opus:required="true"').required is True


def test_text_is_freed_from_indentation_unless_it_says_it_means_it():
    assert parameter("", "<doc>\n   a\n   b\n</doc>").description == "a\n   b"
    kept = parameter("", '<doc xml:space="preserve">\n a </doc>')
    assert kept.description == "\n a "


def test_comments_and_markup_in_text_do_not_cut_it_short():
    assert parameter("", "<doc>a <b>b</b> <!-- x -->c<![CDATA[<d>]]></doc>").description == (
        "a b c<d>"
    )


def test_type_and_role_are_not_taken_from_another_namespace():
    data = DOCUMENT.format(
        inputs='<param name="x" type="file" xlink:role="locator"/>', rest=""
    ).replace('path="count"', 'path="count" type="#t" xlink:type="simple"')
    definition = read(
        data.replace(
            "<application", '<application xmlns:xlink="http://www.w3.org/1999/xlink"'
        ).encode()
    )
    assert (definition.type, definition.used[0].role) == ("", "")


def test_a_script_comes_from_beside_the_document():
    script = "#!/bin/sh\r\necho \u2603\n"
    data = (DATA / "bare.wadl").read_bytes()
    assert read(data, script.encode()).script == script


# -- mistakes


@pytest.mark.parametrize(
    ("inputs", "rest", "sentence"),
    [
        ('\n<param name="x" required="perhaps"/>', "", "line 6: required is 'perhaps'"),
        ('\n\n<param type="xs:int"/>', "", "line 7: a <param> has no name"),
        ('<param name="x"><option/></param>', "", "line 5: an <option> has no value"),
        ('<param href="#nowhere"/>', "", "line 5: '#nowhere' is not the id of a <param>"),
        ('<param href="http://127.0.0.1:1/x#y"/>', "", "nothing is fetched"),
        ('<param name="x" opus:kind="file"/>', "", "opus:kind is 'file'"),
        ("", '<param name="EXECUTIONDURATION" default="1 h"/>', "line 6: the execution duration"),
        ("", '<representation id="quote" default="60.5"/>', "line 6: the quote is '60.5'"),
        ("", "<opus:extension>x</opus:extension>", "line 6: <opus:extension> has no name"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(inputs, rest, sentence):
    with pytest.raises(JdlError, match=f"(?s){sentence}") as caught:
        described(inputs, rest)
    assert caught.value.line > 0


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("<manifest/>", "the root element is <manifest>"),
        ("<application/>", "there is no <resource id='joblist'>"),
        ("<application><resource id='joblist'/></application>", "nothing says how a job is made"),
        (
            "<application><resource id='joblist'><method name='POST'/></resource></application>",
            "has no path",
        ),
    ],
)
def test_what_is_no_job_description_is_told_so(document, sentence):
    with pytest.raises(JdlError, match=sentence):
        read(document.encode())


def test_a_script_in_another_encoding_is_refused():
    with pytest.raises(JdlError, match=r"the script is not UTF-8 \(its byte 5\)"):
        read((DATA / "bare.wadl").read_bytes(), b"echo \xe9")
