"""Parameters and the files that come with them: section 8 of docs/uws.md."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from uws import documents, schemas
from uws.documents import UWS, parameters
from uws.test_creation import multipart


@pytest.fixture
def job(one):
    return one.create("work", {"text": "a"}, run=False)


def values(one, job: str) -> dict[str, str]:
    return dict(parameters(documents.parse(one.get(f"{job}/parameters"))))


@pytest.mark.uws("8.1")
@pytest.mark.parametrize(
    "value", ["", " a  b\n", "ä€𝄞", "<a href='x'>&amp;</a>", "\t\r\n.", "%41+b"]
)
def test_values_are_shown_as_they_were_sent(one, value):
    job = one.create("work", {"text": value}, run=False)
    assert values(one, job)["text"] == value
    assert dict(parameters(documents.job(one.get(job))))["text"] == value
    assert one.get(f"{job}/parameters/text").body == value.encode()


@pytest.mark.uws("8.1")
def test_a_value_of_64_kib_is_shown_as_it_was_sent(one):
    value = "é" * 32768
    job = one.create("work", {"text": value}, run=False)
    assert values(one, job)["text"] == value


@pytest.mark.uws("8.1", "8.2")
def test_a_long_value_comes_back_whole_by_reference(one):
    value = "<ä&>" * 250_000
    job = one.create("work", {"text": value, "note": "short"}, run=False)
    for document in (job, f"{job}/parameters"):
        answer = one.get(document)
        assert len(answer.body) < 10_000
        root = documents.parse(answer)
        schemas.validate(root, "UWS.xsd")
        by_reference = {
            entry.get("id"): entry.text
            for entry in root.iter(f"{UWS}parameter")
            if entry.get("byReference") == "true"
        }
        assert by_reference == {"text": f"{job}/parameters/text"}
    got = one.get(by_reference["text"])
    assert got.body == value.encode()
    assert got.headers["Content-Type"].startswith("text/plain")
    assert values(one, job)["note"] == "short"


@pytest.mark.uws("8.2")
def test_of_many_values_those_beyond_a_total_are_by_reference(one):
    many = [f"{number} " + "&" * 50_000 for number in range(60)]
    answer = one.post("/rest/work", [("many", value) for value in many])
    root = documents.job(one.get(answer.location))
    schemas.validate(root, "UWS.xsd")
    entries = [entry for entry in root.iter(f"{UWS}parameter") if entry.get("id") == "many"]
    apart = [entry.get("byReference") == "true" for entry in entries]
    assert any(apart)
    assert not all(apart)
    assert [
        one.get(entry.text).text if entry.get("byReference") == "true" else entry.text
        for entry in entries
    ] == many


@pytest.mark.uws("8.2", "14.10")
@pytest.mark.parametrize("value", ["a\x01b", "\x1b[31m", "\x08", "\ufffe"])
def test_what_xml_cannot_carry_is_given_by_reference(one, value):
    job = one.create("work", {"text": value, "many": "plain"}, run=False)
    root = documents.job(one.get(job))
    schemas.validate(root, "UWS.xsd")
    by_reference = {
        entry.get("id"): entry.text
        for entry in root.iter(f"{UWS}parameter")
        if entry.get("byReference") == "true"
    }
    assert list(by_reference) == ["text"]
    assert one.get(by_reference["text"]).body == value.encode()


@pytest.mark.uws("14.10")
@pytest.mark.parametrize("fields", [{"RUNID": "a\x01"}, {"text": "\0"}])
def test_what_nothing_can_carry_is_400(one, fields):
    assert one.post("/rest/work", fields).status == 400


@pytest.mark.uws("8.2")
def test_of_several_values_each_that_needs_it_has_its_own_reference(one):
    fields = [("many", "a\x01"), ("many", "b"), ("many", "c\x02")]
    job = one.post("/rest/work", fields).location
    entries = [
        entry
        for entry in documents.parse(one.get(f"{job}/parameters"))
        if entry.get("id") == "many"
    ]
    got = [
        one.get(entry.text).text if entry.get("byReference") == "true" else entry.text
        for entry in entries
    ]
    assert got == ["a\x01", "b", "c\x02"]


@pytest.mark.uws("8.3", "14.6")
@pytest.mark.parametrize("where", ["", "/parameters"])
def test_values_can_be_changed_while_pending(one, job, where):
    answer = one.post(f"{job}{where}", {"TEXT": "b", "number": "3"})
    assert (answer.status, answer.location) == (303, job)
    assert values(one, job)["text"] == "b"
    assert values(one, job)["number"] == "3"
    assert one.phase(job) == "PENDING"


@pytest.mark.uws("8.3")
def test_a_value_can_be_put(one, job):
    answer = one.request("PUT", f"{job}/parameters/text", body="ä & b".encode())
    assert (answer.status, answer.location) == (303, job)
    assert values(one, job)["text"] == "ä & b"


@pytest.mark.uws("8.3")
@pytest.mark.parametrize("fields", [{"unheard": "of"}, {"number": "ten"}, {"colour": "blue"}])
def test_a_change_is_held_to_the_description(one, job, fields):
    before = one.get(job).body
    assert one.post(f"{job}/parameters", fields).status == 400
    assert one.get(job).body == before


@pytest.mark.uws("8.4")
def test_after_that_they_stay_as_they_are(one):
    job = one.create("work")
    one.wait(job)
    before = one.get(job).body
    assert one.post(f"{job}/parameters", {"text": "b"}).status == 403
    assert one.post(job, {"text": "b"}).status == 403
    assert one.request("PUT", f"{job}/parameters/text", body=b"b").status == 403
    assert one.post(f"{job}/parameters", **multipart(("table", "t.csv", b"1"))).status == 403
    assert one.get(job).body == before


@pytest.mark.uws("8.5", "8.6")
@pytest.mark.parametrize(
    "reference", [None, ("table", "param:content"), ("UPLOAD", "table,param:content")]
)
def test_a_file_comes_as_a_part(one, reference):
    part = "table" if reference is None else "content"
    parts = [(part, "t ä.csv", b"1,2\n\x00\xff")]
    if reference is not None:
        parts.insert(0, (reference[0], None, reference[1].encode()))
    answer = one.post("/rest/work?PHASE=RUN", **multipart(*parts))
    assert answer.status == 303, answer.text
    job = answer.location
    root = documents.job(one.get(job))
    schemas.validate(root, "UWS.xsd")
    [entry] = [one for one in root.iter(f"{UWS}parameter") if one.get("id") == "table"]
    assert entry.get("byReference") == "true"
    assert entry.text == f"{job}/parameters/table"
    file = one.get(entry.text)
    assert file.body == b"1,2\n\x00\xff"
    assert file.headers["Content-Type"].startswith("text/csv")
    assert one.wait(job) == "COMPLETED"
    assert one.get(f"{job}/results/output").body == b"1,2\n\x00\xff"


@pytest.mark.uws("8.5", "8.6")
@pytest.mark.parametrize("kind", ["", "text/plain", "text/plain; charset=utf-8", "text/csv"])
@pytest.mark.parametrize("reference", [None, "table", "UPLOAD"])
def test_a_part_needs_no_file_name_to_be_a_file(one, kind, reference):
    """It is its name that `param:NAME` names (UWS 1.1 section 2.2.3.1.1)."""
    content = b"1,2\n" * 5000
    said = {None: {}, "table": {"table": "param:up"}, "UPLOAD": {"UPLOAD": "table,param:up"}}
    part = "table" if reference is None else "up"
    address = f"/rest/work?{urlencode(said[reference])}"
    answer = one.post(address, **multipart((part, None, content), kind=kind))
    assert answer.status == 303, answer.text
    root = documents.job(one.get(answer.location))
    [entry] = [one for one in root.iter(f"{UWS}parameter") if one.get("id") == "table"]
    assert entry.get("byReference") == "true"
    assert one.get(entry.text).body == content
    assert [entry.get("id") for entry in root.iter(f"{UWS}parameter")].count("up") == 0


@pytest.mark.uws("8.5")
@pytest.mark.parametrize("content", [b"\xff\x00 no text", b"", b"param:table", b"http://a/b"])
def test_a_file_that_is_referred_to_may_have_any_content(one, content):
    reference = ("table", None, b"param:up")
    answer = one.post("/rest/work", **multipart(reference, ("up", None, content)))
    assert answer.status == 303, answer.text
    assert one.get(f"{answer.location}/parameters/table").body == content


@pytest.mark.uws("8.5")
def test_a_file_without_a_name_can_be_sent_to_a_pending_job(one, job):
    parts = [("up", None, b"first"), ("table", None, b"param:up")]
    assert one.post(f"{job}/parameters", **multipart(*parts, kind="text/plain")).status == 303
    assert one.get(f"{job}/parameters/table").body == b"first"
    assert one.post(job, **multipart(("table", None, b"second"))).status == 303
    assert one.get(f"{job}/parameters/table").body == b"second"


@pytest.mark.uws("8.5")
def test_several_files_come_by_repeated_references(one):
    answer = one.post(
        "/rest/work",
        **multipart(
            ("UPLOAD", None, b"tables,param:a"),
            ("UPLOAD", None, b"tables,param:b;table,param:c"),
            ("a", "a.csv", b"A"),
            ("b", "b.csv", b"B"),
            ("c", "c.csv", b"C"),
        ),
    )
    assert answer.status == 303, answer.text
    files = [
        one.get(entry.text).text
        for entry in documents.parse(one.get(f"{answer.location}/parameters"))
        if entry.get("byReference") == "true"
    ]
    assert sorted(files) == ["A", "B", "C"]


@pytest.mark.uws("8.5")
def test_a_file_can_be_sent_to_a_pending_job(one, job):
    answer = one.post(f"{job}/parameters", **multipart(("table", "t.csv", b"first")))
    assert (answer.status, answer.location) == (303, job)
    assert one.get(f"{job}/parameters/table").body == b"first"
    one.request("PUT", f"{job}/parameters/table", body=b"second")
    assert one.get(f"{job}/parameters/table").body == b"second"


@pytest.mark.uws("8.7")
@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([("nothing", "t.csv", b"1")], 400),  # nothing takes it
        ([("text", "t.csv", b"1")], 400),  # that takes a text
        ([("UPLOAD", None, b"table,param:away")], 400),  # it was not sent
        ([("UPLOAD", None, b"nothing,param:a"), ("a", "a", b"1")], 400),
        ([("table", "a", b"1"), ("table", "b", b"2")], 400),  # one too many
        ([("table", None, b"http://127.0.0.1/x")], 403),  # not fetched here
        ([("tabel", None, b"1")], 400),  # a field that nobody knows
        ([("up", None, b"1"), ("table", None, b"param:down")], 400),
    ],
)
def test_a_file_that_is_refused_is_an_error(one, jobs, parts, status):
    answer = one.post(jobs, **multipart(*parts))
    assert answer.status == status, answer.text
    assert documents.jobs(one.get(jobs)) == []


@pytest.mark.uws("8.7")
def test_a_file_that_is_too_large_is_an_error(gate):
    headers = multipart()["headers"] | {"X-Test-User": "ann"}
    body = multipart(("table", "t", b"x" * 70_000))["body"]
    answer = gate.post("/opus/uws/rest/work", body=body, headers=headers)
    assert answer.status == 413
    assert "table" in answer.text
