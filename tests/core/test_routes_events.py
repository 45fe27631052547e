from __future__ import annotations

import pytest

from core import wsgi
from opus_core.job import Mark, Phase, Work


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


def event(client, **form):
    return client.post("/handler/job_event", form=form)


def started(site):
    job = site.client().create(PHASE="RUN")
    job_id = job.rpartition("/")[2]
    stored = site.storage.read(job_id)
    return job, job_id, stored.tag, site.parts.service._data_dir.event_token(stored.tag)


def pokes(site, job_id):
    return site.storage.take_pokes(job_id)


def test_a_wrapper_with_its_token_asks_for_a_look_and_changes_nothing(site):
    job, job_id, tag, token = started(site)
    client = site.client()
    assert event(client, jobid=tag, phase="ERROR", token=token).status == 200
    assert pokes(site, job_id) == {"event"}
    assert client.get(f"{job}/phase").text == "QUEUED"


def test_the_token_of_a_job_that_the_cluster_has_forgotten_is_worth_nothing(site):
    job, job_id, tag, token = started(site)
    site.run(job, phase=Phase.COMPLETED, work=Work.RELEASED, tag=tag)
    assert event(site.client(), jobid=tag, phase="COMPLETED", token=token).status == 403
    assert pokes(site, job_id) == frozenset()


def test_a_job_that_is_being_removed_still_reports(site):
    job, job_id, tag, token = started(site)
    site.run(job, tag=tag, marks=frozenset({Mark.DOOMED}))
    assert event(site.client(), jobid=tag, phase="COMPLETED", token=token).status == 200
    assert pokes(site, job_id) == {"event"}


@pytest.mark.parametrize("token", ["", "wrong", "ä"])
def test_without_the_right_token_it_is_403(site, token):
    _, job_id, tag, _ = started(site)
    for subject in (tag, job_id, ""):
        assert event(site.client(), jobid=subject, phase="ERROR", token=token).status == 403
    assert pokes(site, job_id) == frozenset()


def test_the_token_of_one_job_is_not_anothers(site):
    _, _, _, token = started(site)
    _, other, tag, _ = started(site)
    assert event(site.client(), jobid=tag, token=token).status == 403
    assert pokes(site, other) == frozenset()


@pytest.mark.parametrize(
    ("address", "status"),
    [("192.0.2.7", 200), ("::ffff:192.0.2.7", 200), ("198.51.100.1", 403), ("", 403), ("2.7", 403)],
)
def test_a_job_server_needs_no_token(site, address, status):
    job, job_id, _, _ = started(site)
    site.run(job, native_ids=("4711",))
    client = site.client(changes={"job_servers": ("192.0.2.0/24",)}, REMOTE_ADDR=address)
    assert event(client, jobid=job_id, phase="COMPLETED").status == status
    assert bool(pokes(site, job_id)) == (status == 200)
    assert event(client, jobid="4711", phase="COMPLETED").status == status
    assert bool(pokes(site, job_id)) == (status == 200)


@pytest.mark.parametrize("header", ["x_forwarded_for", "x_real_ip", "forwarded"])
def test_an_address_in_a_header_is_nobodys(site, header):
    _, job_id, _, _ = started(site)
    client = site.client(changes={"job_servers": ("127.0.0.1",)})
    form = {"jobid": job_id, "phase": "ERROR"}
    answer = client.post("/handler/job_event", form=form, **{header: "127.0.0.1"})
    assert answer.status == 403


def test_a_job_that_is_not_known_is_no_error_for_a_job_server(site):
    client = site.client(changes={"job_servers": ("192.0.2.7",)})
    assert event(client, jobid="99").text == "0\n"
