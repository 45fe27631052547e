"""Thousands of requests that nobody documented: each has an answer that is, and none is a 5xx."""

from __future__ import annotations

import http.client
import math
import re
from collections import Counter
from contextlib import closing
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lxml import etree

from api.asked import NOWHERE, REQUESTS, USERS, as_, asked_site, faults
from api.convert import read

DOCUMENT = read()
COMPONENTS = DOCUMENT["components"]["responses"]
ROUTES = {  # the more of a path is fixed the earlier
    re.compile(re.sub(r"{\w+}", "[^/]+", path)): path
    for path in sorted(DOCUMENT["paths"], key=lambda path: path.count("{"))
}
ERRORS = set(COMPONENTS["BadRequest"]["content"])

# What may stand anywhere, and what is known in an address, a query or a form, and a header.
ODD = st.sampled_from(
    rb"""% %zz .. . -1 0 1 99999999999999999999 1e400 nan -- $(id) '"`\ 2026-02-30 0001-01-01
    9999-12-31T23:59:59.999Z <x>&amp;]]> RUN ABORT DELETE PENDING json param:table
    table,param:table file:///etc/passwd http://127.0.0.1/""".split()
) | st.sampled_from(
    [b"", b"\0", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"a" * 3000, b"\r\n\r\n", b"\xe2\x80\xae"]
)
CHARACTERS = st.sampled_from(
    "/?#%:@[].~&<>'\x07\x7f\x85\ufffd\ufffe\uffff\U0010ffff\u202e\r\n e\u0301"
)
URLS = st.text(CHARACTERS, max_size=6).map(lambda rest: f"{NOWHERE}/{rest}".encode())
VALUES = ODD | st.binary(max_size=12) | URLS
SEGMENTS = st.sampled_from(
    b"""rest say jdl new sync phase executionduration destruction error quote owner parameters
    results text number table output stdout stderr handler job_event availability healthz static
    opus.css capabilities changes api openapi.json say.json draft publish withdraw access
    script""".split()
)
NAMES = st.sampled_from(
    b"""PHASE WAIT LAST AFTER BEFORE LIMIT CURSOR SORT TEXT RUNID EXECUTIONDURATION DESTRUCTION
    ACTION UPLOAD DOCUMENT SCRIPT AUTHOR EXPECTED ALLOW OWNER text number table VALUE
    RESPONSEFORMAT REQUEST after jobid token""".split()
)
HEADERS = st.sampled_from(
    """Accept Range If-Range If-None-Match If-Modified-Since Idempotency-Key Origin Sec-Fetch-Site
    Authorization Cookie Host X-Forwarded-For X-HTTP-Method-Override Content-Encoding
    Accept-Encoding Referer Expect Access-Control-Request-Method Remote-User TE Upgrade""".split()
)
HEADER_VALUES = st.sampled_from(
    b"""text/html */*;q=9 application/json;q=0 ,;,; bytes=0- bytes=-0 bytes=5-2 bytes=0-1,3-4 "x" W/
    * cross-site https://e.example null % 127.0.0.1 gzip DELETE a:b:c [::1 [ffff] [1.2.3.4]:8
    a:99999 rebound.example GET""".split()
) | st.sampled_from([b"Basic dGVzdF86dGVzdF8=", b"Bearer x", b"a b", b"\xff\xe9", b"x" * 4000])
PAIRS = st.lists(st.tuples(NAMES | VALUES, VALUES), max_size=5)

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "XYZ"]
JOB = "{job}"
THERE = st.sampled_from(["say", "say", "fail", "table", "text", "output", "opus.css"])


@st.composite
def targets(draw):
    """A method and an address of the document, filled in with what is there or with anything, and
    now and then another method, or more behind the address."""
    path = draw(st.sampled_from([*DOCUMENT["paths"], "/rest/{name}/{job_id}"]))
    known = [method.upper() for method in DOCUMENT["paths"][path].keys() - {"parameters"}]
    method = draw(st.sampled_from([*3 * sorted(known), *METHODS]))
    path = path.replace("{name}/{job_id}", JOB)
    words = THERE | (SEGMENTS | VALUES).map(lambda raw: quote(raw, safe="%"))
    path = re.sub(r"{(?!job})\w+}", lambda _: draw(words), path)
    more = draw(st.just([]) | st.just([]) | st.lists(words, max_size=2))
    return method, "/".join([path.rstrip("/"), *more]) or "/"


@st.composite
def multiparts(draw):
    parts = b""
    for name, value in draw(PAIRS):
        named = b'; name="' + name + b'"' if draw(st.booleans()) else b""
        filed = b'; filename="' + draw(VALUES) + b'"' if draw(st.booleans()) else b""
        kind = draw(st.sampled_from([b"", b"Content-Type: text/plain\r\n", b"X\r\n", b":\r\n"]))
        parts += b"--f\r\nContent-Disposition: form-data" + named + filed + b"\r\n" + kind
        parts += b"\r\n" + value + b"\r\n"
    whole = parts + b"--f--\r\n"
    cut = draw(st.integers(0, len(whole)) | st.just(len(whole)))
    return whole[:cut] + draw(st.sampled_from([b"", b"--f", b"\r\n"]))


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=f"
BODIES = (
    st.just((None, b""))
    | st.tuples(st.just(FORM), PAIRS.map(urlencode).map(str.encode))
    | st.tuples(st.just(MULTIPART), multiparts())
    | st.tuples(
        st.sampled_from(
            [FORM, MULTIPART, "multipart/form-data", "text/xml", ";", "a/b; charset=%"]
        ),
        st.binary(max_size=200),
    )
)


@pytest.fixture(scope="module")
def asked():
    with asked_site() as found:
        yield found


@pytest.mark.timeout(0 if REQUESTS > 5_000 else 120)
def test_any_request_has_an_answer_that_is_documented(asked):
    site, jobs = asked
    share = math.ceil(REQUESTS / 2)
    statuses: Counter[int] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)

    @settings(
        max_examples=share,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        target=targets(),
        accept=st.sampled_from(["application/json", "text/html", "*/*"]),
        kind=st.sampled_from(jobs.kinds),
        query=PAIRS,
        headers=st.dictionaries(HEADERS, HEADER_VALUES, max_size=3),
        user=st.sampled_from([*3 * [""], *USERS, "x"]),
        body=BODIES,
    )
    def ask(target, accept, kind, query, headers, user, body):
        method, path = target
        headers = {**headers, **as_(user)}
        job = jobs.path(kind) if JOB in path else ""
        path = path.replace(JOB, job)
        asked_for = path + (f"?{urlencode(query)}" if query else "")
        content_type, data = body
        if content_type is not None:
            headers = {**headers, "Content-Type": content_type}
        try:
            connection.request(method, asked_for, data or None, {"Accept": accept, **headers})
            answer = connection.getresponse()
            content = answer.read()
        except (http.client.HTTPException, OSError) as error:
            raise AssertionError(f"{method} {asked_for!r} {headers}: {error!r}") from error
        statuses[answer.status] += 1
        if method not in ("GET", "HEAD") and answer.status < 400:
            jobs.changed(job)
        said = f"{method} {asked_for!r} {headers} {data!r}: {answer.status} {content[:300]!r}"
        assert answer.status < 500, said
        assert documented(method, path, answer), said
        assert not content or method != "HEAD", said

    with closing(connection):
        ask()
    assert statuses.total() >= share
    assert {200, 303, 400, 401, 403, 404, 405} <= set(statuses)
    assert faults(site) == []


@pytest.mark.parametrize(
    ("status", "user", "method", "path", "fields"),
    [
        (400, "", "POST", "/rest/say", {"unheard": "of"}),
        (401, "x", "GET", "/rest/say", None),
        (401, "x", "POST", "/rest/say", {}),
        (403, "", "GET", "/rest/{foreign}", None),
        (403, "", "POST", "/rest/{foreign}/phase", {"PHASE": "RUN"}),
        (403, "ann", "POST", "/rest/{completed}/parameters", {"text": "late"}),
        (403, "", "POST", "/rest/{archived}/destruction", {"DESTRUCTION": "2031-01-01"}),
        (404, "", "GET", "/rest/{archived}/results/output", None),
        (409, "", "POST", "/rest/say", {"text": "other"}),
        (413, "", "POST", "/rest/say", [("text", "")] * 10_001),
        (422, "", "POST", "/rest/fail/sync", {}),
        (429, "full", "POST", "/rest/say", {"PHASE": "RUN"}),
        (429, "full", "GET", "/rest/say/sync", None),
        (429, "full", "POST", "/rest/{pending of full}/phase", {"PHASE": "RUN"}),
    ],
)
def test_every_refusal_is_as_documented(asked, status, user, method, path, fields):
    site, jobs = asked
    if status == 409:
        assert site.post("/rest/say", {}, headers={"Idempotency-Key": "once"}).status == 303
    made = site.post("/rest/say", {}, headers=as_("full")).location.partition("/rest/")[2]
    path = path.replace("{pending of full}", made)
    path = re.sub("{(\\w+)}", lambda match: jobs.path(match[1]), path)
    headers = as_(user) | ({"Idempotency-Key": "once"} if status == 409 else {})
    answer = site.request(method, path, fields, headers=headers)
    assert answer.status == status, answer.text
    assert documented(method, path, answer)


def test_an_archived_job_is_shown_as_documented(asked):
    site, jobs = asked
    path = f"/rest/{jobs.path('archived')}"
    for accept in ERRORS | {"application/xml"}:
        answer = site.get(path, headers={"Accept": accept})
        assert answer.status == 200
        assert documented("GET", path, answer)
        assert "ARCHIVED" in answer.text


@pytest.mark.timeout(0 if REQUESTS > 5_000 else 120)
@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(
    text=st.text(CHARACTERS, max_size=6),
    run_id=st.just("") | st.text(CHARACTERS, max_size=6),
    table=st.just(b"") | URLS,
)
def test_a_job_that_was_made_can_be_shown(asked, text, run_id, table):
    site, _ = asked
    fields = {"text": text, "RUNID": run_id, "table": table}
    made = site.post("/rest/say", fields)
    assert made.status in (303, 400), made.text
    if made.status == 400:
        return
    for accept in ("application/xml", "application/json", "text/html"):
        for address in (made.location, "/rest/say?LAST=1", f"{made.location}/parameters"):
            answer = site.get(address, headers={"Accept": accept})
            assert answer.status == 200, (fields, answer.text)
            if "xml" in answer.headers["Content-Type"]:
                etree.fromstring(answer.body)
    for name in ("text", "table"):
        assert site.get(f"{made.location}/parameters/{name}").status in (200, 404)
    assert site.request("DELETE", made.location).status == 303


def documented(method, path, answer):
    """Whether the answer is one that the document has for this request."""
    kind = answer.headers.get_content_type()
    if answer.status == 405:
        return bool(answer.headers["Allow"]) and kind in ERRORS
    plain = re.sub("//+", "/", path).rstrip("/") or "/"
    found = next((path for route, path in ROUTES.items() if route.fullmatch(plain)), None)
    operation = DOCUMENT["paths"].get(found, {}).get({"HEAD": "get"}.get(method, method.lower()))
    if operation is None:
        # Beyond every address; or the Host header is no host, or the credentials are nobody's,
        # whatever is asked with them.
        return answer.status in (400, 401, 404) and kind in ERRORS
    response = operation["responses"].get(str(answer.status))
    if response is None:
        return False
    if "$ref" in response:
        response = COMPONENTS[response["$ref"].rpartition("/")[2]]
    types = response.get("content", {})
    return not types or kind in types or "*/*" in types
