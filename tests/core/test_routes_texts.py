"""Long texts, and many: they are kept as files, shown by reference, and nothing of them is lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core import wsgi
from core.test_routes_creation import folders, multipart
from core.wsgi import CHROME, FIT
from opus_core.definition import ParameterDescription, ParameterType
from opus_core.heavy import Turns
from opus_core.job import LONG_TEXT
from opus_core.texts import LONGEST

LONG = "<&\u00e9\U0001f52d>" * 20_000
TEXTS = replace(
    FIT,
    name="texts",
    parameters=(
        ParameterDescription(name="text"),
        ParameterDescription(name="many", repeated=True),
        ParameterDescription(name="number", type=ParameterType.DOUBLE),
        ParameterDescription(name="uri", type=ParameterType.ANYURI),
        ParameterDescription(name="curve"),  # names a result
    ),
    used=(),
)


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        site.parts.catalogue.publish(TEXTS, author="a")
        yield site


@pytest.fixture
def client(site):
    return site.client()


def path(answer):
    assert answer.status == 303, answer.text
    return answer.location.removeprefix("http://opus.test")


def shown(client, job, name="text"):
    """What the documents say of a parameter: of each value its text, or where it is."""
    entries = [one for one in client.get(job).xml.iter(f"{wsgi.UWS}parameter")]
    by_xml = [
        (one.text or "", one.get("byReference") == "true")
        for one in entries
        if one.get("id") == name
    ]
    said = client.get(f"{job}/parameters", accept="application/json").json["parameters"]
    by_json = [
        (one["href"] if one["byReference"] else one["value"], one["byReference"])
        for one in said
        if one["id"] == name
    ]
    assert by_xml == by_json
    return by_xml


def inputs(site, job):
    folder = site.parts.folders.path(job.rpartition("/")[2]) / "input"
    return sorted(file.read_text() for file in folder.iterdir()) if folder.exists() else []


# -- one long text


@pytest.mark.parametrize(
    "request_", [{"form": {"text": LONG}}, multipart(("text", LONG))], ids=["urlencoded", "parts"]
)
def test_a_long_text_is_by_reference_and_comes_back_byte_for_byte(client, request_):
    job = path(client.post("/rest/texts", **request_))
    assert shown(client, job) == [(f"http://opus.test{job}/parameters/text", True)]
    answer = client.get(f"{job}/parameters/text")
    assert answer.body == LONG.encode()
    assert answer.headers["content-type"] == LONG_TEXT
    assert "content-disposition" not in answer.headers
    part = client.get(f"{job}/parameters/text", range="bytes=1-2")
    assert (part.status, part.body) == (206, LONG.encode()[1:3])
    (said,) = client.get(job, accept="application/json").json["parameters"]
    assert said["size"] == len(LONG.encode())
    assert "file" not in said


def test_a_text_up_to_the_limit_is_shown_as_it_is(client):
    for size, apart in ((LONGEST, False), (LONGEST + 1, True)):
        job = path(client.post("/rest/texts", form={"text": "x" * size}))
        [(said, by_reference)] = shown(client, job)
        assert by_reference is apart
        assert apart or said == "x" * size
        assert client.get(f"{job}/parameters/text").body == b"x" * size


def test_a_long_text_is_put_and_replaced_and_the_former_one_removed(site, client):
    job = path(client.post("/rest/texts", form={"text": LONG}))
    assert inputs(site, job) == [LONG]
    url = f"{job}/parameters/text"
    assert client("PUT", url, body=LONG[1:].encode()).status == 303
    assert inputs(site, job) == [LONG[1:]]
    assert client.get(url).body == LONG[1:].encode()
    assert client.post(job, form={"text": LONG[2:], "many": "1"}).status == 303
    assert inputs(site, job) == [LONG[2:]]
    assert client("PUT", url, body=b"short").status == 303
    assert inputs(site, job) == []
    assert shown(client, job) == [("short", False)]


@pytest.mark.parametrize("body", [b"x" * 100_000 + b"\xff", b"x" * 100_000 + b"\0", b"\xff"])
def test_what_is_no_text_is_refused_and_leaves_nothing(site, client, body):
    job = path(client.post("/rest/texts", form={"text": "a"}))
    assert client("PUT", f"{job}/parameters/text", body=body).status == 400
    assert client.post(job, **multipart(("text", body))).status == 400
    assert inputs(site, job) == []
    before = folders(site)
    assert client.post("/rest/texts", **multipart(("text", body))).status == 400
    assert folders(site) == before


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"number": "1" * 100_000}, "no value of it is so long"),
        ({"number": "x" * 100_000}, "not a number"),
        ({"uri": "http://x/ y" + "z" * 100_000}, "not a URI"),
        ({"uri": "x:" + "y" * 100_000 + "<"}, "no value of it is so long"),
        ({"curve": "c" * 100_000}, "cannot be the name of a result file"),
        ({"RUNID": "x" * 100_000}, "no value of it is so long"),
        ({"PHASE": "RUN" * 100_000}, "no value of it is so long"),
        ({"LANG": "x" * 100_000}, "no value of it is so long"),
        ({"UPLOAD": "x" * 100_000}, "no value of it is so long"),
        ({"unheard": "x" * 100_000}, "has no parameter"),
        ({"text": "x" * 100_000, "TEXT": "y"}, "one value, and 2"),
    ],
)
def test_what_cannot_be_so_long_is_refused_and_leaves_nothing(site, client, fields, sentence):
    job = path(client.post("/rest/texts", form={"text": "a"}))
    for url in ("/rest/texts", job):
        answer = client.post(url, form=fields)
        assert answer.status == 400, answer.text
        assert sentence in answer.text
        assert len(answer.text) < 300
    assert {folder.name for folder in folders(site)} <= {job.rpartition("/")[2]}
    assert inputs(site, job) == []


def test_a_uri_may_be_long(client):
    uri = "data:," + "x" * 100_000
    job = path(client.post("/rest/texts", form={"uri": uri}))
    assert client.get(f"{job}/parameters/uri").text == uri


def test_a_file_for_a_long_text_is_still_refused(client):
    answer = client.post("/rest/texts", **multipart(("text", "t.txt", LONG)))
    assert answer.status == 400
    assert "takes a text, not the file" in answer.text


def test_a_job_that_is_not_pending_takes_none(site, client):
    job = path(client.post("/rest/texts", form={"text": "a"}))
    site.run(job)
    for answer in (
        client.post(job, form={"text": LONG}),
        client("PUT", f"{job}/parameters/text", body=LONG.encode()),
    ):
        assert answer.status == 403
    assert inputs(site, job) == []


def test_a_repeated_request_makes_one_job(site, client):
    first = client.post("/rest/texts", form={"text": LONG}, idempotency_key="k")
    again = client.post("/rest/texts", **multipart(("text", LONG)), idempotency_key="k")
    assert first.location == again.location
    other = client.post("/rest/texts", form={"text": LONG + "x"}, idempotency_key="k")
    assert other.status == 409
    assert len(folders(site)) == 1


def test_the_form_of_a_job_says_what_has_to_be_given_once_more(client):
    job = path(client.post("/rest/texts", form={"text": LONG, "many": "a"}))
    page = client.get(f"/new/texts/{job.rpartition('/')[2]}", accept=CHROME)
    assert "texts as long as files" in page.text
    assert len(page.body) < 20_000
    page = client.post("/rest/texts", form={"text": LONG, "number": "x"}, accept=CHROME)
    assert page.status == 400
    assert "Give these once more: <bdi>text</bdi>" in page.text
    assert len(page.body) < 20_000


def test_a_default_of_the_description_is_held_to_the_same(site, client):
    long_default = ParameterDescription(name="text", default="d" * 100_000)
    site.parts.catalogue.publish(replace(TEXTS, name="d", parameters=(long_default,)), author="a")
    job = path(client.post("/rest/d", form={}))
    assert shown(client, job) == [(f"http://opus.test{job}/parameters/text", True)]
    assert client.get(f"{job}/parameters/text").text == "d" * 100_000


# -- several values


def test_several_values_keep_their_order_and_each_has_its_reference(client):
    values = ["a", LONG, "", LONG[1:], "b"]
    job = path(client.post("/rest/texts", **multipart(*[("many", one) for one in values])))
    url = f"http://opus.test{job}/parameters/many"
    assert shown(client, job, "many") == [
        ("a", False),
        (f"{url}?VALUE=2", True),
        ("", False),
        (f"{url}?VALUE=4", True),
        ("b", False),
    ]
    for number, value in enumerate(values, 1):
        assert client.get(f"{job}/parameters/many?VALUE={number}").text == value
    whole = client.get(f"{job}/parameters/many")
    assert whole.text == "\n".join(values)
    assert whole.headers["content-length"] == str(len(whole.body))
    assert client("HEAD", f"{job}/parameters/many").headers["content-length"] == str(
        len(whole.body)
    )


def test_many_texts_are_by_reference_beyond_a_total(client):
    values = [f"{number:05}" + "&" * 30_000 for number in range(200)]
    job = path(client.post("/rest/texts", **multipart(*[("many", one) for one in values])))
    said = shown(client, job, "many")
    assert said[0] == (values[0], False)
    there = [text for text, by_reference in said if not by_reference]
    assert 10 < len(there) < 40
    assert len(client.get(job).body) < 6 * 2**20
    for (text, by_reference), value in list(zip(said, values, strict=True))[::9]:
        got = client.get(text.removeprefix("http://opus.test")).text if by_reference else text
        assert got == value
    assert client.get(f"{job}/parameters/many").text == "\n".join(values)


def test_what_is_said_of_a_job_finds_room_behind_many_texts(client):
    parts = [("many", "x" * 5000) for _ in range(400)]
    job = path(client.post("/rest/texts", **multipart(*parts, ("RUNID", "r" * 256))))
    assert client.get(job, accept="application/json").json["runId"] == "r" * 256


def test_too_many_long_texts_are_refused_with_the_way_out(site, client):
    parts = [("many", f"{number}" + "x" * 3000) for number in range(2000)]
    answer = client.post("/rest/texts", **multipart(*parts))
    assert answer.status == 413
    assert "send them as a file" in answer.text
    assert folders(site) == []


def test_a_job_is_bounded_however_many_requests_bring_its_values(site, client):
    names = [f"p{number}" for number in range(3)]
    several = tuple(ParameterDescription(name=name, repeated=True) for name in names)
    site.parts.catalogue.publish(replace(TEXTS, name="s", parameters=several), author="a")
    job = path(client.post("/rest/s", form={}))
    statuses = [
        client.post(job, form=[(name, f"{number:0120}") for number in range(5000)]).status
        for name in names
    ]
    assert statuses == [303, 303, 413]
    assert len(shown(client, job, "p1")) == 5000
    assert shown(client, job, "p2") == []


# -- requests that need much memory


def test_they_are_refused_while_others_have_their_turn_and_answered_afterwards(site):
    turns = Turns(waiting=0)
    client = site.client(changes={"turns": turns})
    form = [("many", str(number)) for number in range(300)]
    assert client.post("/rest/texts", form=form).status == 503
    assert folders(site) == []
    job = path(site.client().post("/rest/texts", form=form))
    small = path(client.post("/rest/texts", form={"text": "a"}))
    for url in (job, f"{job}/parameters", f"{job}?WAIT=0"):
        answer = client.get(url)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
    assert client.post(job, form={"text": "x"}).status == 503
    assert client.get("/new/texts?" + "many=1&" * 300).status == 503
    assert client.get(f"/new/texts/{job.rpartition('/')[2]}").status == 503
    # What needs little is answered all the same.
    assert client.get(f"{job}/phase").status == 200
    assert client.get(small).status == 200
    assert client.get("/rest/texts").status == 200


def test_each_gives_its_turn_back(site):
    client = site.client(changes={"turns": Turns(waiting=1)})
    form = [("many", str(number)) for number in range(300)]
    job = path(client.post("/rest/texts", form=form))
    for _ in range(10):
        assert client.get(job).status == 200
        assert client.get(f"{job}/parameters/unheard").status == 404
        assert client.get(job, accept=CHROME).status == 200
        assert client.post("/rest/texts", form=[*form, ("unheard", "of")]).status == 400
        assert json.loads(client.get(job, accept="application/json").body)["phase"] == "PENDING"
