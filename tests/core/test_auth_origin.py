"""Whether a request that brought a session's cookie was meant by its user."""

from __future__ import annotations

import pytest

from opus_core.auth.identity import cookie_of
from opus_core.auth.origin import is_meant

COOKIE = "c" * 43


def meant(method, **headers):
    environ = {"REQUEST_METHOD": method}
    environ |= {f"HTTP_{key.upper()}": value for key, value in headers.items()}
    return is_meant(environ, "opus.test", ("https://portal.test",), "the word")


@pytest.mark.parametrize(
    ("headers", "changes", "looks"),
    [
        ({}, False, True),
        ({"sec_fetch_site": "same-origin"}, True, True),
        ({"sec_fetch_site": "same-origin", "origin": "https://opus.test"}, True, True),
        ({"origin": "https://opus.test"}, True, True),
        ({"origin": "http://opus.test:8080"}, False, False),
        ({"sec_fetch_site": "none"}, False, True),  # typed, or a bookmark
        ({"sec_fetch_site": "none", "sec_fetch_mode": "navigate"}, False, True),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, False, True),  # a link
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, False, False),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "cors"}, False, False),
        ({"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors"}, False, False),
        ({"sec_fetch_site": "same-site", "origin": "https://opus.test"}, False, False),
        ({"sec_fetch_site": "cross-site", "origin": "https://portal.test"}, True, True),
        ({"origin": "null"}, False, False),
        ({"x_opus_csrf": "the word"}, True, True),
        ({"x_opus_csrf": "the word", "sec_fetch_site": "cross-site"}, True, True),
        ({"x_opus_csrf": "another"}, False, True),
        ({"x_opus_csrf": ""}, False, True),
        ({"x_opus_csrf": "\xff"}, False, True),
    ],
)
def test_what_changes_something_comes_from_a_page_of_ours(headers, changes, looks):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert meant(method, **headers) is changes
    for method in ("GET", "HEAD", "OPTIONS"):
        assert meant(method, **headers) is looks


@pytest.mark.parametrize(
    ("header", "scheme", "found"),
    [
        (f"__Host-opus={COOKIE}", "https", COOKIE),
        (f"a=b; __Host-opus={COOKIE}; c=d", "https", COOKIE),
        (f'__Host-opus="{COOKIE}"', "https", COOKIE),
        (f"opus={COOKIE}", "https", ""),  # which a page over http can have set
        (f"__Host-opus={COOKIE}", "http", ""),
        (f"opus={COOKIE}", "http", COOKIE),
        (f"__Host-opus={COOKIE}; __Host-opus={'d' * 43}", "https", ""),
        (f"__host-opus={COOKIE}", "https", ""),
        ("__Host-opus=short", "https", ""),
        ("__Host-opus=" + "c" * 44, "https", ""),
        ("__Host-opus=" + "c" * 42 + "\x00", "https", ""),
        ("__Host-opus", "https", ""),
        (";;;", "https", ""),
        ("", "https", ""),
    ],
)
def test_one_cookie_of_the_right_name_and_form_counts(header, scheme, found):
    assert cookie_of({"HTTP_COOKIE": header, "wsgi.url_scheme": scheme}) == found
