"""Parts of files, and names of files, whatever they are."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core import wsgi
from opus_core.routes.files import disposition

DATA = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with wsgi.site(tmp_path_factory.mktemp("files")) as site:
        yield site


@pytest.fixture(scope="module")
def curve(site):
    """The address of a result, and its tag."""
    client = site.client()
    job = client.create()
    site.finish(job, curve=("curve.csv", "text/csv", DATA))
    url = f"{job}/results/curve"
    return url, client.get(url).headers["etag"]


# -- parts


def wanted(text):
    """What RFC 9110 section 14 makes of a single range; None: it is as if it were not sent."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    if first:
        return DATA[int(first) : int(last) + 1 if last else None]
    return DATA[-int(last) :] if int(last) else b""


numbers = st.one_of(st.just(""), st.integers(0, 2000).map(str), st.just("9" * 18))


@given(first=numbers, last=numbers, method=st.sampled_from(["GET", "HEAD"]))
@settings(max_examples=200, deadline=None)
def test_any_single_range_gives_the_bytes_it_names(site, curve, first, last, method):
    answer = site.client()(method, curve[0], range=f"bytes={first}-{last}")
    part = wanted(f"bytes={first}-{last}")
    if part is None or method == "HEAD":
        assert (answer.status, answer.headers["content-length"]) == (200, "1024")
        assert answer.body == (DATA if method == "GET" else b"")
    elif part == b"":
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */1024")
    else:
        assert answer.status == 206
        assert answer.headers["content-length"] == str(len(part))
        assert answer.body == part
        begin, end, size = re.fullmatch(
            r"bytes (\d+)-(\d+)/(\d+)", answer.headers["content-range"]
        ).groups()
        assert DATA[int(begin) : int(end) + 1] == part
        assert size == "1024"


@pytest.mark.parametrize(
    "several", ["bytes=0-1,5-6", "bytes=0-1,0-1", "bytes=-1,-1", "bytes=" + "0-," * 1000 + "0-"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_several_ranges_give_the_whole_file(site, curve, several, method):
    answer = site.client()(method, curve[0], range=several)
    assert (answer.status, answer.headers["content-length"]) == (200, "1024")
    assert "content-range" not in answer.headers


def test_head_of_a_part_that_is_not_there_is_of_the_whole_file(site, curve):
    answer = site.client()("HEAD", curve[0], range="bytes=1024-")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "1024", b"")


@pytest.mark.parametrize("wish", ["bytes=0-9", "bytes=5000-"])
def test_who_has_the_file_gets_no_part_of_it_again(site, curve, wish):
    url, tag = curve
    answer = site.client().get(url, range=wish, if_none_match=tag)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == tag


def test_a_condition_without_a_range_changes_nothing(site, curve):
    answer = site.client().get(curve[0], if_range='"other"')
    assert (answer.status, answer.body) == (200, DATA)


def test_a_part_of_another_file_is_not_added_to_what_the_client_has(site, curve):
    url, tag = curve
    client = site.client()
    assert client.get(url, range="bytes=5000-", if_range='"other"').status == 200
    assert client.get(url, range="bytes=5000-", if_range=tag).status == 416
    assert client.get(url, range="bytes=5-", if_range=f" {tag} ").status == 206
    assert client.get(url, range="bytes=5-", if_range=f"{tag}, {tag}").status == 200


# -- names


def read_back(header):
    """The two names in the header: for old clients, and by RFC 8187."""
    match = re.fullmatch(
        r'attachment; filename="([^"\\]+)"; filename\*=UTF-8\'\'([A-Za-z0-9!#$&+^_`|~.%-]+)', header
    )
    return match[1], unquote(match[2], errors="strict")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@example('a"b.csv')
@example("a;b=c.csv")
@example("a\r\nSet-Cookie: x=1")
@example("100%.csv")
@example("%41.csv")
@example("ü 星.fits")
@example("'utf-8''x")
@example("...")
@example("\x00")
def test_any_name_comes_back_as_it_is_and_harmless_in_ascii(name):
    header = disposition(name)
    plain, exact = read_back(header)
    bare = re.split(r"[/\\]", name)[-1] or "file"
    assert exact == bare
    assert not set(plain) & set('/\\"%;\r\n\x00')
    assert plain.isascii()


@pytest.mark.parametrize(
    ("name", "bare"),
    [("../../etc/passwd", "passwd"), ("C:\\a\\b.csv", "b.csv"), ("a/", "file"), ("", "file")],
)
def test_a_folder_is_no_part_of_a_name(name, bare):
    assert read_back(disposition(name))[1] == bare


def test_a_name_that_is_no_unicode_does_not_break_the_header():
    assert read_back(disposition("a\udcffb"))[1] == "a?b"


@pytest.mark.parametrize("name", ["ü 星.fits", "a;b.csv", "it's 100%.csv"])
def test_an_upload_is_saved_under_the_name_that_it_had(site, name):
    body = (
        f'--f\r\nContent-Disposition: form-data; name="table"; filename="{name}"\r\n\r\n1\r\n--f--'
    ).encode()
    client = site.client()
    made = client.post("/rest/fit", body=body, content_type="multipart/form-data; boundary=f")
    job = made.location.removeprefix("http://opus.test")
    answer = client.get(f"{job}/parameters/table")
    assert read_back(answer.headers["content-disposition"])[1] == name
