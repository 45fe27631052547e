"""What one entry of the journal does to the numbers."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from opus_core.job import Change, DefinitionRef, Phase
from opus_core.testing.samples import LONG_AGO
from opus_metrics.tally import BOUNDS, Durations, Tally


def told(*life, job="1", tally=None, since=0):
    """A tally that was told of the life of one job: phases, None where it was deleted, each with
    the seconds since it began."""
    tally = tally or Tally(since)
    old = None
    for seq, (new, seconds) in enumerate(life, tally.seq + 1):
        time = LONG_AGO + timedelta(seconds=seconds)
        tally.add(
            Change(
                seq=seq,
                job_id=job,
                definition=DefinitionRef("fit", 1),
                owner=None,
                run_id=None,
                old=old,
                new=new,
                time=time,
            )
        )
        old = new
    return tally


def measured(tally):
    """How many waits and how long, the same of runs [s]."""
    numbers = tally.definitions["fit"]
    return [(sum(one.counts), one.total / 1000) for one in (numbers.waits, numbers.runs)]


P, Q, E, H, S = Phase.PENDING, Phase.QUEUED, Phase.EXECUTING, Phase.HELD, Phase.SUSPENDED
END = Phase.COMPLETED


@pytest.mark.parametrize(
    ("life", "waits", "runs"),
    [
        ([(P, 0), (Q, 10), (E, 15), (END, 115)], (1, 5), (1, 100)),
        ([(Q, 0), (E, 5.25), (Phase.ERROR, 6)], (1, 5.25), (1, 0.75)),
        ([(Q, 0), (H, 10), (Q, 20), (E, 30), (END, 31)], (1, 30), (1, 1)),
        (
            [(Q, 0), (E, 5), (S, 10), (E, 1000), (H, 1010), (E, 1100), (END, 2000)],
            (1, 5),
            (1, 1995),
        ),
        ([(Q, 0), (E, 5), (END, 10), (Phase.ARCHIVED, 10_000)], (1, 5), (1, 5)),
        ([(Q, 0), (Phase.ERROR, 5)], (0, 0), (0, 0)),
        ([(Q, 0), (Phase.ABORTED, 5)], (0, 0), (0, 0)),
        ([(Q, 0), (E, 5), (None, 10)], (1, 5), (0, 0)),
        ([(Q, 0), (None, 5)], (0, 0), (0, 0)),
        ([(E, 0), (END, 5)], (1, 0), (1, 5)),
        ([(Q, 0), (E, -3600), (END, -7200)], (1, 0), (1, 0)),
    ],
)
def test_a_wait_is_until_the_first_executing_and_a_run_from_there_to_the_end(life, waits, runs):
    tally = told(*life)
    assert measured(tally) == [waits, runs]
    assert not tally.waiting
    assert not tally.running


def test_what_had_begun_before_counting_is_not_measured():
    tally = Tally.at(0, [("fit", E), ("fit", Q)])
    for seq, (old, new) in enumerate([(E, H), (H, E), (E, END), (Q, E), (E, END)], 1):
        change = Change(
            seq=seq,
            job_id="1" if seq < 4 else "2",
            definition=DefinitionRef("fit", 1),
            owner=None,
            run_id=None,
            old=old,
            new=new,
            time=LONG_AGO,
        )
        tally.add(change)
    assert measured(tally) == [(0, 0), (0, 0)]
    assert tally.definitions["fit"].jobs == {"EXECUTING": 0, "QUEUED": 0, "HELD": 0, "COMPLETED": 2}


def test_a_bound_is_within_its_bucket():
    """Prometheus: `le` is less than or equal."""
    durations = Durations()
    for bound in BOUNDS:
        durations.add(1000 * bound)
    assert durations.counts == [1] * len(BOUNDS) + [0]
    durations.add(1000 * BOUNDS[-1] + 1)
    durations.add(0)
    assert durations.counts == [2] + [1] * len(BOUNDS)


def test_only_jobs_that_wait_or_run_are_remembered():
    tally = Tally(0)
    for job in range(100):
        tally = told((P, 0), (Q, 1), (E, 2), (END, 3), job=str(job), tally=tally)
    told((Q, 0), job="a", tally=tally)
    told((Q, 0), (E, 1), job="b", tally=tally)
    assert (list(tally.waiting), list(tally.running)) == (["a"], ["b"])


def test_a_tally_comes_back_from_its_record_and_goes_on_alike():
    tally = told((P, 0), (Q, 10), (E, 15), (END, 115))
    told((Q, 0), (E, 1), job="2", tally=tally)
    told((Q, 5), job="3", tally=tally)
    again = Tally.of(json.loads(json.dumps(tally.record())))
    assert again == tally
    for one in (tally, again):
        told((P, 0), (Q, 10), (E, 15), (Phase.ERROR, 16), job="4", tally=one)
    assert again == tally
    assert again.record() == tally.record()


def test_a_tally_made_of_a_record_leaves_the_record_alone():
    record = told((Q, 0), (E, 1)).record()
    kept = json.dumps(record)
    again = told((Q, 0), (E, 1), job="2", tally=Tally.of(record))
    told((Q, 0), job="3", tally=again)
    assert json.dumps(record) == kept
