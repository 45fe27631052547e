"""Instants, of a server that lives fourteen hours ahead: section 2 of docs/uws.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from uws import documents
from uws.documents import instant


@pytest.fixture(scope="module")
def done(one):
    before = datetime.now(UTC)
    job = one.create("work")
    one.wait(job)
    return job, before, datetime.now(UTC)


@pytest.mark.uws("2.1", "2.2", "2.4", "2.6")
def test_instants_are_in_utc_and_in_order(one, done):
    job, before, after = done
    root = documents.job(one.get(job))
    times = [instant(documents.text(root, f"{name}Time")) for name in ("creation", "start", "end")]
    # Milliseconds are shown, and what is smaller is cut.
    seen = [before - timedelta(milliseconds=1), *times, after]
    assert seen == sorted(seen)
    assert one.get(job).body == one.get(job).body


@pytest.mark.uws("2.2")
def test_the_plain_texts_say_the_same_as_the_document(one, done):
    job = done[0]
    root = documents.job(one.get(job))
    for name in ("destruction", "quote"):
        said = one.get(f"{job}/{name}").text
        assert instant(said)
        assert said == documents.text(root, name)


@pytest.mark.uws("2.3", "2.4", "2.5")
@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("2031-12-24T18:30:00Z", "2031-12-24T18:30:00.000Z"),
        ("2031-12-24T18:30:00", "2031-12-24T18:30:00.000Z"),
        ("2031-12-24T18:30:00.25", "2031-12-24T18:30:00.250Z"),
        ("2031-12-24T18:30:00.123456Z", "2031-12-24T18:30:00.123Z"),
        ("2031-12-24T18:30:00+02:00", "2031-12-24T16:30:00.000Z"),
        ("2031-12-24", "2031-12-24T00:00:00.000Z"),
        ("2031-12-24 18:30:00", "2031-12-24T18:30:00.000Z"),
    ],
)
def test_an_instant_is_read_as_utc_unless_it_says_otherwise(still, sent, meant):
    job = still.create("work", run=False)
    answer = still.post(f"{job}/destruction", {"DESTRUCTION": sent})
    assert (answer.status, answer.location) == (303, job)
    assert still.get(f"{job}/destruction").text == meant
    assert documents.text(documents.job(still.get(job)), "destruction") == meant
