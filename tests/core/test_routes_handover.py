"""Files that the web server in front sends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core import wsgi
from opus_core.routes.handover import Handover, parse
from opus_core.sections import Server


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path / "a folder") as site:
        yield site


def job_of(site):
    body = (
        b'--f\r\nContent-Disposition: form-data; name="table"; filename="t.csv"\r\n\r\n1,2\r\n--f--'
    )
    answer = site.client().post(
        "/rest/fit", body=body, content_type="multipart/form-data; boundary=f"
    )
    job = answer.location.removeprefix("http://opus.test")
    site.finish(job, curve=("a+b.csv", "text/csv", b"1,2\n"))
    site.write(job, "stdout", b"said\n")
    return job


def client_of(site, setting):
    handover = parse(setting, site.parts.folders.root)
    return site.client(changes={"handover": handover})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_apache_is_told_the_path(site, method):
    job = job_of(site)
    answer = client_of(site, "x-sendfile")(method, f"{job}/results/curve")
    assert (answer.status, answer.body) == (200, b"")
    path = site.parts.folders.path(job.rpartition("/")[2]) / "results" / "a+b.csv"
    assert answer.headers["x-sendfile"] == str(path).replace(" ", "%20").replace("+", "%2B")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="a+b.csv"')
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["accept-ranges"] == "bytes"


def test_nginx_is_told_an_address(site):
    job = job_of(site)
    client = client_of(site, "x-accel-redirect:/opus-jobs/")
    job_id = job.rpartition("/")[2]
    answer = client.get(f"{job}/results/curve", range="bytes=1-")
    # The part is its business: it has the header of the same request.
    assert (answer.status, answer.body) == (200, b"")
    address = f"/opus-jobs/{job_id[:2]}/{job_id}"
    assert answer.headers["x-accel-redirect"] == f"{address}/results/a%2Bb.csv"
    upload = client.get(f"{job}/parameters/table").headers["x-accel-redirect"]
    assert upload.startswith(f"{address}/input/")


def test_what_the_client_has_is_not_sent_by_anybody(site):
    job = job_of(site)
    client = client_of(site, "x-sendfile")
    tag = client.get(f"{job}/results/curve").headers["etag"]
    answer = client.get(f"{job}/results/curve", if_none_match=tag)
    assert answer.status == 304
    assert "x-sendfile" not in answer.headers


def test_what_may_still_grow_or_is_no_file_is_sent_from_here(site):
    job = job_of(site)
    client = client_of(site, "x-sendfile")
    for child, body in (("stdout", b"said\n"), ("parameters/order", b"3")):
        answer = client.get(f"{job}/{child}")
        assert answer.body == body
        assert "x-sendfile" not in answer.headers


def test_a_stranger_gets_no_path(site):
    job = job_of(site)
    site.change(job, owner="ann")
    client = client_of(site, "x-sendfile")
    answer = client.get(f"{job}/results/curve")
    assert answer.status == 403
    assert "x-sendfile" not in answer.headers


def test_a_result_that_was_changed_is_not_handed_over(site):
    job = job_of(site)
    site.write(job, "results/a+b.csv", b"other content")
    assert client_of(site, "x-sendfile").get(f"{job}/results/curve").status == 500


@pytest.mark.parametrize(
    "setting",
    ["", "X-Sendfile", "x-sendfile:/a/", "x-accel-redirect", "x-accel-redirect:/", "nginx"]
    + [f"x-accel-redirect:{prefix}" for prefix in ("a/", "/a", "/a b/", "//", "/a//", "/a\n/")],
)
def test_a_setting_that_is_none_is_refused(setting):
    with pytest.raises(ValueError, match="sendfile"):
        replace(Server(), sendfile=setting)


def test_without_the_setting_nothing_is_handed_over(tmp_path):
    assert parse(Server().sendfile, tmp_path) is None
    assert parse("x-sendfile", tmp_path) == Handover(tmp_path)
