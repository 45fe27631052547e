from __future__ import annotations

import pytest

from opus_core.render.negotiate import Format, choose

ALL = (Format.XML, Format.JSON, Format.HTML)
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", Format.XML),
        ("*/*", Format.XML),
        ("application/xml", Format.XML),
        ("text/xml", Format.XML),
        ("application/xml,text/plain", Format.XML),  # the case that UWS 1.1 section 2.2.2 names
        ("application/*", Format.XML),
        ("text/html, application/xml", Format.XML),  # equal: XML is preferred
        ("text/html;q=0.9, application/xml;q=0.9", Format.XML),
        ("text/html, */*", Format.XML),
        ("image/png", Format.XML),  # nobody is answered 406
        ("application/json;q=0", Format.XML),
        ("application/json", Format.JSON),
        ("application/json, text/plain, */*", Format.JSON),  # axios
        ("application/json;q=0.5, application/xml;q=0.1", Format.JSON),
        ("application/json, application/xml", Format.XML),
        ("application/json;q=0.1, */*", Format.XML),
        (CHROME, Format.HTML),
        (FIREFOX, Format.HTML),
        ("text/html", Format.HTML),
        ("TEXT/HTML; Q=1", Format.HTML),
        ("text/html, */*;q=0.01", Format.HTML),  # jQuery
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", Format.XML),  # Java, unasked
        ("text/html;q=bad", Format.HTML),
        (";;,,=;q", Format.XML),
    ],
)
def test_xml_is_preferred_and_html_is_for_browsers(accept, chosen):
    assert choose(accept, ALL) is chosen


@pytest.mark.parametrize("wish", ["json", "JSON", "application/json"])
def test_responseformat_comes_before_accept(wish):
    assert choose(CHROME, ALL, wish) is Format.JSON


def test_a_format_that_is_not_offered_is_no_wish():
    assert choose("*/*", (Format.XML, Format.JSON), "votable") is Format.XML
    assert choose(CHROME, (Format.XML, Format.JSON), "html") is Format.XML


def test_a_hostile_accept_header_costs_nothing():
    assert choose("a/b;q=1," * 100_000, ALL) is Format.XML
