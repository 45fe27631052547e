from __future__ import annotations

import io
import zipfile

import pytest

from core import wsgi


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


def test_all_results_come_in_one_file(site, client):
    job = client.create()
    large = bytes(range(256)) * 4096  # of several pieces
    site.finish(
        job, plot=("plot.svg", "image/svg+xml", large), curve=("cúrve.csv", "text/csv", b"")
    )
    answer = client.get(f"{job}/results.zip")
    assert answer.headers["content-type"] == "application/zip"
    short = job.rpartition("/")[2][:8]
    assert f'filename="fit-{short}.zip"' in answer.headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    assert archive.testzip() is None
    found = {one: archive.read(one) for one in archive.namelist()}
    assert found == {"plot.svg": large, "cúrve.csv": b""}


def test_without_results_it_is_404(client):
    job = client.create()
    answer = client.get(f"{job}/results.zip")
    assert answer.status == 404
    assert "has no results; it is PENDING" in answer.text


def test_another_file_in_place_of_a_result_is_an_error_and_not_half_an_archive(site, client):
    job = client.create()
    site.finish(
        job, plot=("plot.svg", "image/svg+xml", b"<svg/>"), curve=("c.csv", "text/csv", b"1")
    )
    site.write(job, "results/c.csv", b"12")
    answer = client.get(f"{job}/results.zip")
    assert answer.status == 500
    assert "is not what the job left" in answer.text


def test_another_users_results_are_not_to_be_had(site):
    job = site.client(REMOTE_USER="ann").create()
    site.finish(job, curve=("c.csv", "text/csv", b"1"))
    assert site.client(REMOTE_USER="bob").get(f"{job}/results.zip").status == 403


@pytest.mark.parametrize(
    "kind",
    ["text/javascript", "application/javascript", "text/ecmascript", "Application/X-JavaScript"],
)
def test_no_result_is_sent_as_a_script(site, client, kind):
    job = client.create()
    site.finish(job, curve=("c.js", kind, b"1"))
    answer = client.get(f"{job}/results/curve")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
