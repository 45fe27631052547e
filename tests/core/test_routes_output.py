from __future__ import annotations

import hashlib

import pytest

from core import wsgi
from opus_core.job import Phase, Work

DATA = bytes(range(256)) * 4
TAG = f'"{hashlib.sha256(DATA).hexdigest()}"'


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


@pytest.fixture
def job(site, client):
    job = client.create()
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    site.finish(job, curve=("curve.csv", "text/csv", DATA), plot=("plot.svg", "image/svg+xml", svg))
    return job


def result(client, job, **headers):
    return client.get(f"{job}/results/curve", **headers)


def test_a_result_is_what_the_job_left(client, job):
    answer = result(client, job)
    assert answer.status == 200
    assert answer.body == DATA
    assert answer.headers["content-length"] == "1024"
    assert answer.headers["etag"] == TAG
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"curve.csv\"; filename*=UTF-8''curve.csv"
    )


def test_the_links_of_the_document_lead_to_the_files(client, job):
    for entry in client.get(f"{job}/results", accept="application/json").json["results"]:
        got = client.get(entry["href"].removeprefix("http://opus.test"))
        assert len(got.body) == entry["size"]
        assert hashlib.sha256(got.body).hexdigest() == entry["sha256"]


def test_head_tells_the_size_of_a_result(client, job):
    answer = client("HEAD", f"{job}/results/curve")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "1024"
    assert answer.headers["etag"] == TAG


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-1023", 0, 1023),
        ("bytes=10-19", 10, 19),
        ("bytes=1000-", 1000, 1023),
        ("bytes=1023-", 1023, 1023),
        ("bytes=1000-99999", 1000, 1023),
        ("bytes=-1", 1023, 1023),
        ("bytes=-9999", 0, 1023),
        ("Bytes = 5 - 6", 5, 6),
    ],
)
def test_a_part_is_206(client, job, wanted, first, last):
    answer = result(client, job, range=wanted)
    assert answer.status == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/1024"
    assert answer.headers["content-length"] == str(last - first + 1)
    assert answer.body == DATA[first : last + 1]


@pytest.mark.parametrize("wanted", ["bytes=0-0", "bytes=1000-", "bytes=1024-"])
def test_ranges_are_for_get_alone(client, job, wanted):
    """RFC 9110 section 14.2: other methods are answered as if there were none."""
    answer = client("HEAD", f"{job}/results/curve", range=wanted)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "1024"
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("wanted", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_part_that_is_not_there_is_416(client, job, wanted):
    answer = result(client, job, range=wanted)
    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */1024"


@pytest.mark.parametrize(
    "wanted",
    ["bytes=9-3", "bytes=a-b", "bytes=-", "bytes=0-1,5-6", "items=0-1", "bytes=0x1-2", "", "5"],
)
def test_a_range_that_makes_no_sense_is_as_if_not_sent(client, job, wanted):
    answer = result(client, job, range=wanted)
    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("wanted", ["bytes=" + " " * 200_000 + "x", "bytes" + " " * 200_000])
def test_a_range_of_blanks_costs_nothing(client, job, wanted):
    assert result(client, job, range=wanted).status == 200


@pytest.mark.parametrize("known", [TAG, f"W/{TAG}", f'"a", {TAG}', "*"])
def test_a_client_that_has_it_is_told_so(client, job, known):
    answer = result(client, job, if_none_match=known)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == TAG


@pytest.mark.parametrize("known", ['"a"', TAG.strip('"'), ""])
def test_a_client_that_has_something_else_gets_it(client, job, known):
    assert result(client, job, if_none_match=known).status == 200


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 206), ('"a"', 200), (f"W/{TAG}", 200), ("Mon, 23 Nov 2026 22:00:00 GMT", 200)],
)
def test_a_download_goes_on_only_if_the_file_is_the_same(client, job, condition, status):
    assert result(client, job, range="bytes=5-", if_range=condition).status == status


def test_an_empty_result_is_sent_whatever_part_of_it_is_wanted(site, client):
    job = client.create()
    site.finish(job, curve=("curve.csv", "text/csv", b""))
    answer = result(client, job)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    for wanted in ("bytes=0-", "bytes=-5"):
        answer = result(client, job, range=wanted)
        assert (answer.status, answer.body) == (200, b"")


def test_a_result_that_is_not_there_is_404_and_names_those_that_are(client, job):
    answer = client.get(f"{job}/results/nope")
    assert answer.status == 404
    assert "curve, plot" in answer.text


def test_a_result_that_was_changed_is_not_sent_for_what_it_was(site, client, job):
    site.write(job, "results/curve.csv", b"other")
    answer = result(client, job)
    assert answer.status == 500
    assert "not what the job left" in answer.text


def test_a_link_out_of_the_folder_is_not_followed(site, client, job, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    path = site.parts.folders.path(job.rpartition("/")[2]) / "results" / "curve.csv"
    path.unlink()
    path.symlink_to(secret)
    assert result(client, job).status == 404


@pytest.mark.parametrize("file", ["run", "event", "..%2Frun", "script", "%2e%2e"])
def test_nothing_else_of_the_folder_is_sent(site, client, job, file):
    site.write(job, "event", b"token")
    site.write(job, "run", b"x")
    assert client.get(f"{job}/results/{file}").status == 404
    assert client.get(f"{job}/parameters/{file}").status == 404
    assert client.get(f"{job}/{file}").status == 404


# -- standard output and error


def test_output_is_read_while_the_job_runs(site, client):
    job = client.create(PHASE="RUN")
    assert client.get(f"{job}/stdout").status == 404  # nothing has begun
    site.run(job)
    assert client.get(f"{job}/stdout").body == b""
    site.write(job, "stdout", b"one\n")
    assert client.get(f"{job}/stdout").body == b"one\n"
    site.write(job, "stdout", b"one\ntwo\n")
    more = client.get(f"{job}/stdout", range="bytes=4-")
    assert (more.status, more.body) == (206, b"two\n")
    assert more.headers["content-type"] == "text/plain; charset=utf-8"
    assert client.get(f"{job}/stdout", range="bytes=8-").status == 416


def test_reading_the_output_of_a_live_job_asks_for_more_of_it(site, client):
    job = client.create(PHASE="RUN")
    job_id = job.rpartition("/")[2]
    client.get(f"{job}/stdout")
    assert site.storage.take_pokes(job_id) == frozenset()
    site.run(job)
    client.get(f"{job}/stderr")
    assert site.storage.take_pokes(job_id) == {"output"}
    site.change(job, phase=Phase.COMPLETED, work=Work.RELEASED)
    client.get(f"{job}/stdout")
    assert site.storage.take_pokes(job_id) == frozenset()


# -- values


def test_one_of_several_values_is_told_by_its_number(client):
    answer = client.post(
        "/rest/fit", body=b"skip=1&skip=22", content_type="application/x-www-form-urlencoded"
    )
    url = answer.location.removeprefix("http://opus.test") + "/parameters/SKIP"
    assert client.get(url).text == "1\n22"
    assert client.get(f"{url}?VALUE=2").text == "22"
    for number in ("0", "3", "x", "²", "9" * 30):
        assert client.get(f"{url}?VALUE={number}".encode().decode("latin-1")).status == 404
    assert client.get(url.replace("SKIP", "note")).status == 404
