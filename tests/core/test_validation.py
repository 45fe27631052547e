from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.errors import BadRequest, NotAllowed, OpusError
from opus_core.forms import Form
from opus_core.job import Parameter, Upload
from opus_core.validation import Controls, check_inputs, outputs, parse_instant, split
from opus_core.values import check_limits, check_value, not_before, parse

FILE = Upload(sha256="a" * 64, size=3, name="a.fits")
OTHER = Upload(sha256="b" * 64, size=4, name="b.fits")


def job(*parameters, used=(), generated=()) -> JobDefinition:
    return JobDefinition(
        name="count", parameters=parameters, used=tuple(used), generated=tuple(generated)
    )


def parameter(name, **fields) -> ParameterDescription:
    return ParameterDescription(name=name, **fields)


def of(kind, **fields) -> ParameterDescription:
    return ParameterDescription(name="x", type=ParameterType(kind), **fields)


def pairs(found) -> list[tuple[str, str]]:
    return [(one.name, one.value) for one in found]


def checked(definition, *values, uploads=(), partial=False):
    return check_inputs(definition, values, uploads, partial=partial)


# -- controls


def controls(*values) -> Controls:
    return split(Form(values=values), job()).controls


def test_controls_are_told_from_inputs_whatever_their_case():
    form = Form(values=(("runid", "r 1"), ("Phase", "RUN"), ("EMIN", "2"), ("wait", "5")))
    request = split(form, job(parameter("emin")))
    assert request.controls == Controls(phase="RUN", run_id="r 1")
    assert request.inputs == (("EMIN", "2"),)


@pytest.mark.parametrize("value", ["run", "", "PENDING", "RUN "])
def test_a_phase_that_cannot_be_asked_for_names_those_that_can(value):
    with pytest.raises(BadRequest, match="send RUN or ABORT"):
        controls(("PHASE", value))


def test_the_only_action_is_delete():
    assert controls(("ACTION", "DELETE")).action == "DELETE"
    with pytest.raises(BadRequest, match="DELETE"):
        controls(("ACTION", "EXPLODE"))


def test_a_control_sent_twice_is_refused():
    with pytest.raises(BadRequest, match="PHASE was sent twice"):
        controls(("PHASE", "RUN"), ("phase", "ABORT"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("60", 60),
        (" 60 ", 60),
        ("+5", 5),
        ("2147483648", 2**31 - 1),
        ("9" * 9000, 2**31 - 1),
    ],
)
def test_an_execution_duration_is_whole_seconds_cut_to_what_xml_can_show(text, seconds):
    assert controls(("EXECUTIONDURATION", text)).execution_duration == seconds


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", "ten", "0x10", "٣", "1_0", "-" * 5000])
def test_an_execution_duration_that_is_none_is_refused(text):
    with pytest.raises(BadRequest, match="EXECUTIONDURATION"):
        controls(("EXECUTIONDURATION", text))


@pytest.mark.parametrize("text", ["<img src=x onerror=...>", "a\tb\n", "\u202eabc", "é" * 256])
def test_a_run_id_is_kept_exactly(text):
    assert controls(("RUNID", text)).run_id == text


@pytest.mark.parametrize("text", ["a\x01", "\x00", "\ufffe", "x" * 257, "\ud800"])
def test_a_run_id_that_no_document_can_show_is_refused(text):
    with pytest.raises(BadRequest, match="RUNID"):
        controls(("RUNID", text))


def test_destruction_is_an_instant_in_whole_milliseconds():
    found = controls(("DESTRUCTION", "2031-12-24T18:30:00.123456Z")).destruction
    assert found == datetime(2031, 12, 24, 18, 30, 0, 123000, tzinfo=UTC)
    with pytest.raises(BadRequest, match="DESTRUCTION"):
        controls(("DESTRUCTION", ""))


# -- run options


def test_a_run_option_is_checked_and_answered_as_it_is_spelt():
    memory = parameter("memory", type=ParameterType.INT, maximum="64")
    request = split(Form(values=(("MEMORY", "8"), ("x", "1"))), job(parameter("x")), [memory])
    assert request.options == {"memory": "8"}
    assert request.inputs == (("x", "1"),)
    with pytest.raises(BadRequest, match="memory cannot be '65'; 64 is the most"):
        split(Form(values=(("memory", "65"),)), job(), [memory])


def test_an_input_comes_before_a_run_option_of_its_name():
    request = split(Form(values=(("memory", "a lot"),)), job(parameter("memory")), [of("int")])
    assert request.inputs == (("memory", "a lot"),)
    assert not request.options


# -- names


def test_names_are_not_case_sensitive_and_answered_in_the_descriptions_spelling():
    assert pairs(checked(job(parameter("Emin")), ("eMIN", "Value"))) == [("Emin", "Value")]


def test_an_unknown_name_is_refused_with_the_nearest_legal_one():
    with pytest.raises(BadRequest, match=r"no parameter 'emni'; did you mean emin\?"):
        checked(job(parameter("emin"), parameter("proj")), ("emni", "1"))
    with pytest.raises(BadRequest, match=r"did you mean PHASE\?"):
        split(Form(values=(("PHSAE", "RUN"),)), job())
    with pytest.raises(BadRequest, match="it takes 'emin'"):
        checked(job(parameter("emin")), ("zzz", "1"))


@pytest.mark.parametrize("name", ["REQUEST", "version", "RESPONSEFORMAT", "MAXREC", "Lang"])
def test_what_dali_sends_is_dropped_unless_described(name):
    assert split(Form(values=((name, "x"),)), job()).inputs == ()
    described = job(parameter(name.lower()))
    assert pairs(split(Form(values=((name, "x"),)), described).parameters(described)) == [
        (name.lower(), "x")
    ]


# -- values


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("string", "$(id) `id` \n\t'\"\\ é \u202e"),
        ("string", "x" * 200_000),
        *(("boolean", text) for text in ("true", "false", "1", "0", "yes", "No", "TRUE", "True")),
        *(("unsignedByte", text) for text in ("0", "255", "+7", " 7 ")),
        *(("short", text) for text in ("-32768", "32767")),
        *(("int", text) for text in ("-2147483648", "2147483647", "007")),
        *(("long", text) for text in ("-9223372036854775808", "9223372036854775807")),
        *(("double", text) for text in ("1e-5", "NaN", "INF", "-INF", ".5", "5.", "+1.5E+10", "3")),
        ("float", "0.1"),
        *(("dateTime", text) for text in ("2015-10-26T09:00:00Z", "2015-10-26 09:00", "2015")),
        *(("anyURI", text) for text in ("http://h/a?b=c#d", "ivo://x", "a/b", "urn:x:y")),
    ],
)
def test_a_legal_value_is_kept_byte_for_byte(kind, text):
    assert check_value(of(kind), text) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("string", "a\0b"),
        ("string", "\ud800"),
        *(("boolean", text) for text in ("maybe", "2", "")),
        *(("unsignedByte", text) for text in ("256", "-1", "1.0", "")),
        *(("short", text) for text in ("32768", "-32769")),
        *(("int", text) for text in ("2147483648", "1e3", "0x1F", "ten", "1_000", "٣")),
        *(("long", text) for text in ("9223372036854775808", "9" * 10_000)),
        *(("double", text) for text in ("1,5", "1e", "e5", "0x1p3", "1_0.5", "five", "")),
        *(("dateTime", text) for text in ("yesterday", "2015-02-30", "2015-13-01T00:00:00Z")),
        *(("anyURI", text) for text in ("http://h/a b", "http://h/$(id>f)\n;", "<x>")),
    ],
)
def test_a_value_that_is_none_of_its_type_is_refused_by_name(kind, text):
    with pytest.raises(BadRequest, match="x"):
        check_value(of(kind), text)


def test_a_long_value_is_not_repeated_in_the_sentence():
    with pytest.raises(BadRequest) as caught:
        check_value(of("int"), "9" * 100_000)
    assert len(caught.value.sentence) < 200


def test_minimum_and_maximum_are_inclusive_and_compared_by_value():
    entry = of("double", minimum="0.01", maximum="1e2")
    for text in ("0.01", "1.0E-2", "100", "100.000"):
        assert check_value(entry, text) == text
    for text in ("0.00999", "100.1", "INF", "NaN"):
        with pytest.raises(BadRequest, match=r"0\.01 is the least|1e2 is the most"):
            check_value(entry, text)


def test_limits_of_whole_numbers_are_exact_where_floats_are_not():
    entry = of("long", maximum=str(2**53 + 1))
    assert check_value(entry, str(2**53 + 1))
    with pytest.raises(BadRequest, match="is the most"):
        check_value(entry, str(2**53 + 2))


def test_limits_of_instants_are_compared_in_utc():
    entry = of("dateTime", minimum="2015-10-26T09:00:00Z")
    assert check_value(entry, "2015-10-26T10:00:00+01:00")
    with pytest.raises(BadRequest, match="is the least"):
        check_value(entry, "2015-10-26T09:59:59+01:00")


def test_a_value_is_one_of_the_options_or_the_default():
    entry = of("string", default="cntmap_", options=(Option(value="0"), Option(value="1")))
    assert check_value(entry, "1") == "1"
    assert check_value(entry, "cntmap_") == "cntmap_"
    with pytest.raises(BadRequest, match="one of '0', '1'"):
        check_value(entry, "2")


@pytest.mark.parametrize(
    "entry",
    [
        of("string", minimum="1"),
        of("boolean", maximum="1"),
        of("int", minimum="few"),
        of("double", minimum="2", maximum="1"),
        of("double", minimum="NaN", maximum="1"),
    ],
)
def test_limits_that_cannot_be_held_are_found_in_the_description(entry):
    with pytest.raises(BadRequest, match="x"):
        check_limits(job(entry))


def test_limits_that_can_be_held_are_left_alone():
    definition = job(of("int", minimum="0.5", maximum="7"), parameter("y", minimum=""))
    assert check_limits(definition) is definition


# -- defaults, missing and repeated ones


def test_defaults_are_filled_in_the_order_of_the_description():
    definition = job(
        parameter("a", default="1", required=True), parameter("b"), parameter("c", default="3")
    )
    assert pairs(checked(definition, ("c", "x"))) == [("a", "1"), ("c", "x")]


def test_a_required_value_without_default_must_be_sent():
    with pytest.raises(BadRequest, match="emin is missing"):
        checked(job(parameter("emin", required=True)))
    with pytest.raises(BadRequest, match="emin is missing"):
        checked(job(parameter("emin", required=True, default="")), ("emin", ""))


def test_a_blank_field_is_the_same_as_none_but_for_an_optional_string():
    definition = job(
        parameter("n", type=ParameterType.INT, default="7"),
        parameter("m", type=ParameterType.INT),
        parameter("text", default="Hello"),
        parameter("proj", default="TAN", options=(Option(value="TAN"),)),
    )
    found = checked(definition, ("n", ""), ("m", ""), ("text", ""), ("proj", ""))
    assert pairs(found) == [("n", "7"), ("text", ""), ("proj", "TAN")]


def test_several_values_keep_their_order_where_they_are_described():
    definition = job(parameter("a", repeated=True), parameter("b"))
    assert pairs(checked(definition, ("a", "2"), ("A", "1"))) == [("a", "2"), ("a", "1")]
    with pytest.raises(BadRequest, match="b takes one value, and 2 were sent"):
        checked(definition, ("b", "1"), ("B", "1"))


def test_a_partial_request_is_answered_with_what_it_names_alone():
    definition = job(parameter("a", default="1"), parameter("b", required=True))
    assert pairs(checked(definition, ("a", "5"), partial=True)) == [("a", "5")]


def test_a_blank_field_of_a_partial_request_goes_back_to_the_default():
    definition = job(parameter("a", type=ParameterType.INT, default="1"), of("int"))
    assert pairs(checked(definition, ("a", ""), partial=True)) == [("a", "1")]
    with pytest.raises(BadRequest, match="x is missing"):
        checked(definition, ("x", ""), partial=True)


def test_a_merge_replaces_what_was_named_and_leaves_the_rest():
    definition = job(
        parameter("a"), parameter("b", repeated=True), used=[UsedDescription(name="evfile")]
    )
    present = (
        Parameter(name="a", value="1"),
        Parameter(name="b", value="2"),
        Parameter(name="b", value="3"),
        Parameter(name="evfile", upload=FILE),
    )
    request = split(Form(values=(("B", "9"),), uploads=(("evfile", OTHER),)), definition)
    assert request.merge(definition, present) == (
        Parameter(name="a", value="1"),
        Parameter(name="b", value="9"),
        Parameter(name="evfile", upload=OTHER),
    )


# -- files

EVENTS = job(parameter("emin"), used=[UsedDescription(name="evfile", default="events.fits")])


def test_a_part_named_like_an_input_is_its_file():
    found = checked(EVENTS, ("emin", "1"), uploads=[("EVFILE", FILE)])
    assert found == (Parameter(name="emin", value="1"), Parameter(name="evfile", upload=FILE))


@pytest.mark.parametrize(
    "value",
    [
        ("evfile", "param:t1"),
        ("EVFILE", " param:t1 "),
        ("UPLOAD", "evfile,param:t1"),
        ("upload", "EvFile , PARAM:t1"),
    ],
)
def test_a_part_of_another_name_is_referred_to(value):
    found = checked(EVENTS, value, uploads=[("t1", FILE)])
    assert found == (Parameter(name="evfile", upload=FILE),)


def test_a_part_that_is_named_and_referred_to_is_one_file():
    found = checked(EVENTS, ("UPLOAD", "evfile,param:evfile"), uploads=[("evfile", FILE)])
    assert found == (Parameter(name="evfile", upload=FILE),)


def test_an_upload_list_may_be_one_value_or_several():
    definition = job(used=[UsedDescription(name="a"), UsedDescription(name="b")])
    expected = (Parameter(name="a", upload=FILE), Parameter(name="b", upload=OTHER))
    parts = [("p", FILE), ("q", OTHER)]
    assert checked(definition, ("UPLOAD", "a,param:p;b,param:q"), uploads=parts) == expected
    twice = (("UPLOAD", "b,param:q"), ("UPLOAD", "a,param:p"))
    assert checked(definition, *twice, uploads=parts) == expected


@pytest.mark.parametrize("value", ["", "evfile", "nobody,param:t1", "emin,param:t1", ",", ";"])
def test_an_upload_that_names_no_input_file_is_refused(value):
    with pytest.raises(BadRequest, match="write NAME,param:PART, where NAME is 'evfile'"):
        checked(EVENTS, ("UPLOAD", value), uploads=[("t1", FILE)])


def test_a_part_that_is_referred_to_must_have_been_sent():
    with pytest.raises(BadRequest, match="'t2', which was not sent; the request has 't1'"):
        checked(EVENTS, ("evfile", "param:t2"), uploads=[("t1", FILE)])


def test_a_file_that_nothing_takes_is_refused():
    with pytest.raises(BadRequest, match=r"sent as 't1'; send it as 'evfile'"):
        checked(EVENTS, uploads=[("t1", FILE)])
    with pytest.raises(BadRequest, match=r"emin takes a text, not the file 'a\.fits'"):
        checked(EVENTS, uploads=[("emin", FILE)])


@pytest.mark.parametrize(
    "value",
    [
        ("evfile", "http://h/$(id>f)"),
        ("evfile", "file:///etc/passwd"),
        ("UPLOAD", "evfile,https://h/a;b?c,d"),
    ],
)
def test_a_url_for_a_file_is_not_fetched(value):
    with pytest.raises(NotAllowed, match="this server fetches no files"):
        checked(EVENTS, value)


def test_a_text_for_a_file_is_refused_and_a_blank_one_passed_over():
    with pytest.raises(BadRequest, match=r"evfile takes a file, not the text 'events\.fits'"):
        checked(EVENTS, ("evfile", "events.fits"))
    assert checked(EVENTS, ("evfile", "")) == ()


def test_a_required_file_must_be_sent_even_if_the_description_has_a_name_for_it():
    definition = job(used=[UsedDescription(name="evfile", required=True, default="events.fits")])
    with pytest.raises(BadRequest, match="the file evfile is missing"):
        checked(definition)
    assert checked(definition, partial=True) == ()


def test_several_files_come_where_the_multiplicity_says_so():
    parts = [("f", FILE), ("f", OTHER)]
    several = job(used=[UsedDescription(name="f", multiplicity="*")])
    assert [one.upload for one in checked(several, uploads=parts)] == [FILE, OTHER]
    for one in ("", "1", "0..1"):
        with pytest.raises(BadRequest, match="f takes one file, and 2 were sent"):
            checked(job(used=[UsedDescription(name="f", multiplicity=one)]), uploads=parts)


# -- results

MAP = job(
    parameter("outfile", default="map.fits"),
    generated=[
        GeneratedDescription(name="outfile", required=True),
        GeneratedDescription(name="logfile", default="count.log"),
    ],
)


def test_a_result_is_written_under_the_name_that_was_asked_for():
    request = split(Form(values=(("outfile", "mine.fits"),)), MAP)
    found = outputs(MAP, request.parameters(MAP))
    assert [(one.name, one.file, one.required) for one in found] == [
        ("outfile", "mine.fits", True),
        ("logfile", "count.log", False),
    ]


@pytest.mark.parametrize(
    "file", ["../x", "/etc/passwd", "x; id > f", "$(id)", ".hidden", "-rf", "a\nb", "a" * 200]
)
def test_a_result_cannot_be_written_elsewhere(file):
    with pytest.raises(BadRequest, match="cannot be the name of a result file"):
        split(Form(values=(("outfile", file),)), MAP).parameters(MAP)


def test_two_results_cannot_be_one_file():
    request = split(Form(values=(("outfile", "count.log"),)), MAP)
    with pytest.raises(BadRequest, match=r"both be written to 'count\.log'"):
        request.parameters(MAP)
    with pytest.raises(BadRequest, match=r"both be written to 'count\.log'"):
        request.merge(MAP, (Parameter(name="outfile", value="map.fits"),))


# -- instants


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2015-10-26T09:00:05Z", (2015, 10, 26, 9, 0, 5)),
        ("2015-10-26T09:00:05", (2015, 10, 26, 9, 0, 5)),
        ("2015-10-26t09:00:05z", (2015, 10, 26, 9, 0, 5)),
        ("2015-10-26 09:00", (2015, 10, 26, 9, 0)),
        ("2015-10-26T09:00:05.5Z", (2015, 10, 26, 9, 0, 5, 500_000)),
        ("2015-10-26T09:00:05.123456789Z", (2015, 10, 26, 9, 0, 5, 123_456)),
        ("2015-10-26T09:00:05.123456Z", (2015, 10, 26, 9, 0, 5, 123_456)),
        ("2015-10-26T09:00:05+02:00", (2015, 10, 26, 7, 0, 5)),
        ("2015-10-26T09:00:05 02:00", (2015, 10, 26, 7, 0, 5)),
        ("2015-10-26T09:00:05-0230", (2015, 10, 26, 11, 30, 5)),
        ("2015-10-26T09:00:05+02", (2015, 10, 26, 7, 0, 5)),
        ("20151026T090005Z", (2015, 10, 26, 9, 0, 5)),
        ("2015-10-26", (2015, 10, 26)),
        ("20151026", (2015, 10, 26)),
        ("2015-10", (2015, 10, 1)),
        ("2015", (2015, 1, 1)),
        (" 2015-10-26 ", (2015, 10, 26)),
        ("2016-02-29", (2016, 2, 29)),
    ],
)
def test_an_instant_is_read_in_every_form_that_clients_send(text, instant):
    assert parse_instant(text) == datetime(*instant, tzinfo=UTC)
    assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "2015-02-30", "2015-13-01", "2015-02-29", "0000-01-01", "20151", "15-10-26",
        "2015-10-26T25:00:00Z", "2015-10-26T09:60", "2015-10-26T09", "2015-10-26T09:00:05+25:00",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "٢٠١٥", "2015-10-26T09:00:05ZZ",
        "1445850005", "2015-10-26\x00",
    ],
)  # fmt: skip
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(BadRequest, match="is no instant"):
        parse_instant(text)


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS))
def test_an_instant_written_in_any_zone_is_the_same_instant(instant):
    assert parse_instant(instant.isoformat()) == instant


@given(st.datetimes(timezones=st.just(UTC), max_value=datetime(9000, 1, 1)))
def test_rounded_up_to_milliseconds_an_instant_is_the_next_that_a_document_can_show(instant):
    rounded = not_before(instant)
    assert rounded.microsecond % 1000 == 0
    assert 0 <= (rounded - instant).total_seconds() < 0.001


# -- anything at all

ANY = st.text() | st.sampled_from(["a", "B", "f", "UPLOAD", "PHASE", "RUN", "param:p", "f,param:p"])


@given(st.lists(st.tuples(ANY, ANY), max_size=6), st.lists(ANY, max_size=3))
def test_no_request_raises_anything_but_our_own_errors(values, parts):
    definition = job(
        *(parameter(kind.name, type=kind, default=None) for kind in ParameterType),
        parameter("a", repeated=True),
        parameter("b"),
        used=[UsedDescription(name="f")],
        generated=[GeneratedDescription(name="b")],
    )
    form = Form(values=tuple(values), uploads=tuple((name, FILE) for name in parts))
    try:
        request = split(form, definition, [of("int")])
        found = request.parameters(definition)
        merged = request.merge(definition, found)
    except OpusError:
        return
    assert {one.name for one in found} <= {entry.name for entry in definition.inputs()}
    assert merged == found  # what is sent again changes nothing


@given(st.sampled_from(ParameterType), ANY | st.floats().map(str) | st.integers().map(str))
def test_no_value_raises_anything_but_a_bad_request(kind, text):
    try:
        parse(text, kind)
    except BadRequest:
        return
    assert check_value(of(kind), text) == text or "\0" in text


@given(st.floats())
def test_every_float_is_a_double_however_python_or_xml_writes_it(number):
    for text in (repr(number), f"{number:e}", repr(number).upper().replace("NAN", "NaN")):
        value = parse(text, ParameterType.DOUBLE)
        assert isinstance(value, float)
        assert (
            math.isnan(value)
            if math.isnan(number)
            else math.isclose(value, number, rel_tol=1e-6, abs_tol=1e-320)
        )
