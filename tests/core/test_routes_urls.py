"""Inputs given as URLs, as the web side takes and shows them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from core import wsgi
from core.wsgi import UWS
from opus_core.hosts import parse
from opus_core.job import Parameter, Upload
from opus_core.sections import Jobs

URL = "https://archive.example.org/sky/m%2031.csv?b=1&a=2"


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        service = site.parts.service
        service._settings = Jobs(fetch_hosts=("archive.example.org",), max_files=3)
        service._hosts = parse(service._settings.fetch_hosts)
        yield site


@pytest.fixture
def client(site):
    return site.client()


def parameter(document):
    return document.find(f".//{UWS}parameter[@id='table']")


@pytest.mark.parametrize(
    "form", [{"table": URL}, {"TABLE": f" {URL} "}, {"UPLOAD": f"table,{URL}"}]
)
def test_a_job_shows_the_url_that_it_was_given_by_reference(client, form):
    job = client.create(**form)
    for url in (job, f"{job}/parameters"):
        entry = parameter(client.get(url).xml)
        assert (entry.get("byReference"), entry.text) == ("true", URL)
    [entry] = [
        one
        for one in client.get(job, accept="application/json").json["parameters"]
        if one["id"] == "table"
    ]
    assert entry == {"id": "table", "byReference": True, "href": URL, "file": "m 31.csv"}
    assert client.get(f"{job}/parameters/table").text == URL


def test_what_was_fetched_is_kept_beside_the_url(site, client):
    job = client.create(table=URL)
    data = b"x,y\n1,2\n"
    sha256 = hashlib.sha256(data).hexdigest()
    site.write(job, f"input/{sha256}", data)
    upload = Upload(sha256=sha256, size=len(data), name="m31.csv", media_type="text/csv")
    stored = site.storage.read(job.rpartition("/")[2])
    site.change(
        job,
        parameters=tuple(
            replace(one, upload=upload) if one.name == "table" else one for one in stored.parameters
        ),
    )
    assert parameter(client.get(job).xml).text == URL
    answer = client.get(f"{job}/parameters/table")
    assert (answer.body, answer.headers["etag"]) == (data, f'"{sha256}"')


@pytest.mark.parametrize(
    ("url", "status", "sentence"),
    [
        ("https://other.example.org/a", 403, "table: 'https://other.example.org/a' cannot be"),
        ("http://127.0.0.1/a", 403, "fetches nothing from '127.0.0.1'"),
        ("http://[::1]:8080/a", 403, "fetches nothing from"),
        ("ftp://archive.example.org/a", 400, "send a URL of http or https"),
        ("https://me:secret@archive.example.org/a", 400, "leave out the user and password"),
        ("https://archive.example.org/a b", 400, "characters that no URL has"),
        ("file:///etc/passwd", 400, "http or https"),
    ],
)
def test_a_url_that_is_not_fetched_makes_no_job(client, url, status, sentence):
    answer = client.post("/rest/fit", form={"table": url})
    assert answer.status == status
    assert sentence in answer.text
    assert len(client.get("/rest/fit").xml) == 0


def test_a_pending_job_may_get_another_url_or_a_file_instead(site, client):
    job = client.create(table=URL)
    client.post(f"{job}/parameters", form={"table": URL + "&c"})
    assert parameter(client.get(job).xml).text == URL + "&c"
    assert client("PUT", f"{job}/parameters/table", b"1,2", content_type="text/csv").status == 303
    assert client.get(f"{job}/parameters/table").body == b"1,2"
    stored = site.storage.read(job.rpartition("/")[2])
    [found] = [one for one in stored.parameters if one.name == "table"]
    assert isinstance(found, Parameter)
    assert found.value == ""


def test_a_url_and_a_file_for_one_input_are_one_too_many(client):
    body = (
        b'--f\r\nContent-Disposition: form-data; name="table"; filename="t.csv"\r\n\r\n1\r\n'
        b'--f\r\nContent-Disposition: form-data; name="table"\r\n\r\n' + URL.encode() + b"\r\n--f--"
    )
    answer = client.post("/rest/fit", body=body, content_type="multipart/form-data; boundary=f")
    assert answer.status == 400
    assert "table takes one file, and 2 were sent" in answer.text


def test_where_nothing_is_fetched_a_url_is_refused(site, client):
    site.parts.service._hosts = parse(())
    answer = client.post("/rest/fit", form={"table": URL})
    assert answer.status == 403
    assert "this server fetches no files; download it and upload it" in answer.text
