"""A description comes from a stranger: it is bounded, expands nothing, fetches nothing."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opus_core.backends import NoOptions
from opus_core.definition import JobDefinition
from opus_core.errors import JdlError
from opus_jdl_wadl.document import MAX_SIZE, parse
from opus_jdl_wadl.plugin import WadlJdl
from opus_jdl_wadl.reader import read

DATA = Path(__file__).parent / "data"
SAMPLES = tuple(sorted(path.read_bytes() for path in DATA.glob("*.wadl")))
JDL = WadlJdl(NoOptions())


def laughing(times):
    """Entities that would expand to ten to the power of `times` letters."""
    entities = "".join(
        f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, times)
    )
    return f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]>'


@pytest.mark.parametrize(
    "document",
    [
        f"<?xml version='1.0'?>\n{laughing(9)}\n<a>&e8;</a>",
        f"<?xml version='1.0'?>\n{laughing(9)}\n<a b='&e8;'/>",
        "\n<!DOCTYPE application SYSTEM 'http://127.0.0.1:9/wadl.dtd'><application/>",
        "\n<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><a>&x;</a>",
        "\n<!DOCTYPE application><application/>",
        "\n<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/p'>%p;]><a/>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_doctype_is_refused_before_it_is_looked_into(document, encoding):
    begin = time.monotonic()
    with pytest.raises(JdlError, match=r"line 2: .* DOCTYPE"):
        parse(document.encode(encoding))
    assert time.monotonic() - begin < 1


def test_nothing_is_fetched_for_a_schema_an_include_or_a_stylesheet():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        data = f"""<?xml-stylesheet href="{address}"?>
            <application xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
                xmlns:xi="http://www.w3.org/2001/XInclude"
                xsi:schemaLocation="http://wadl.dev.java.net/2009/02 {address}">
              <grammars><include href="{address}"/><xi:include href="{address}"/></grammars>
              <resources base="{address}"><resource id="joblist" path="x">
                <method id="create_job" href="{address}"/>
              </resource></resources>
            </application>"""
        assert read(data.encode()) == JobDefinition(name="x")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_more_than_the_largest_size_is_refused_unread():
    with pytest.raises(JdlError, match=f"of {MAX_SIZE + 1} bytes is too large"):
        read(b"<" * (MAX_SIZE + 1))


def test_deep_nesting_is_refused():
    depth = 100_000
    with pytest.raises(JdlError, match="depth"):
        read(b"<a>" * depth + b"</a>" * depth)


def test_a_large_parameter_or_form_cannot_be_multiplied_by_references():
    text = "x" * 300_000
    references = "<param href='#p'/>" * 10_000 + "<representation href='#r'/>" * 10_000
    fields = "<param name='p'/>" * 10_000
    data = (
        "<application><resource id='joblist' path='a'>"
        f"<method name='POST'><request>{references}</request></method></resource>"
        f"<param id='p' name='p'><doc>{text}</doc></param>"
        f"<representation id='r'>{fields}</representation></application>"
    )
    begin = time.monotonic()
    assert [one.description for one in read(data.encode()).parameters] == [text]
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", 1),
        (b"PK\x03\x04", 1),
        (b"<application>\n<resources>\n</application>", 3),
        (b"<application>\n\n&nbsp;</application>", 3),
        (b"<application>\n<a:b/></application>", 2),
        (b"<?xml version='1.0' encoding='klingon'?><application/>", 1),
        (b"<application>\n\xff</application>", 2),
        (b"<application>\n&#0;</application>", 2),
        (b"<application>\n<a b='1' b='2'/></application>", 2),
    ],
)
def test_what_is_not_well_formed_is_told_with_its_line(data, line):
    with pytest.raises(JdlError) as caught:
        read(data)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: this is not well-formed XML: ")
    assert "\n" not in str(caught.value)


def read_or_refuse(data):
    """Nothing but a description or a `JdlError`; what is read is written or refused, and read."""
    try:
        definition = JDL.loads(data)
    except JdlError:
        return
    bundle = JDL.dumps(definition)
    assert JDL.loads(bundle.data, bundle.files) == definition


@settings(max_examples=150, deadline=None)
@given(
    sample=st.sampled_from(SAMPLES),
    where=st.floats(0, 1, exclude_max=True),
    cut=st.integers(0, 60),
    paste=st.binary(max_size=20)
    | st.sampled_from([b'"', b"<", b">", b"</doc>", b"<param/>", b"&#13;", b"]]>", b' xmlns=""']),
)
def test_a_damaged_description_is_read_or_refused(sample, where, cut, paste):
    at = int(len(sample) * where)
    read_or_refuse(sample[:at] + paste + sample[at + cut :])


@settings(max_examples=150, deadline=None)
@given(
    sample=st.sampled_from(SAMPLES),
    swap=st.tuples(*2 * [st.sampled_from(sorted(set(b" ".join(SAMPLES).split())))]),
)
def test_a_description_with_words_exchanged_is_read_or_refused(sample, swap):
    old, new = swap
    read_or_refuse(sample.replace(old, new))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    read_or_refuse(data)
    JDL.recognises(data)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_head_of_a_description_is_recognised(sample):
    assert JDL.recognises(sample[:4096])
    assert JDL.recognises(b"\xef\xbb\xbf" + sample[:4096])


@pytest.mark.parametrize(
    ("head", "known"),
    [
        (b"<application>", True),
        ("<?xml version='1.0'?><!-- <a> --><application/>".encode("utf-16"), True),
        (b"<w:application xmlns:w='http://research.sun.com/wadl/2006/10'>", True),
        (b"<application xmlns='http://java.sun.com/xml/ns/javaee'>", False),
        (b"<a><application>", False),
        (b"<applications>", False),
        (b"<VOTABLE xmlns='http://www.ivoa.net/xml/VOTable/v1.3'>", False),
        (b'{"application": "wadl"}', False),
        (b"", False),
    ],
)
def test_only_an_application_of_wadl_or_of_nothing_is_recognised(head, known):
    assert JDL.recognises(head) is known


def test_a_prolog_of_many_parts_is_looked_through_at_once():
    begin = time.monotonic()
    assert not JDL.recognises(b"<?a?><!-- ?> -->  " * 10_000)
    assert time.monotonic() - begin < 1
