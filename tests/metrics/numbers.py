"""What a scrape says, and what it should say: counted the long way, from all that is kept."""

from __future__ import annotations

from collections import Counter, defaultdict

from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from opus_core.backends import JobQuery
from opus_core.job import Phase
from opus_metrics import exposition
from opus_metrics.follower import STREAM
from opus_metrics.tally import BOUNDS


def samples(text):
    """Each number by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(follower):
    """What a scrape says of jobs, without zeros; both formats say the same."""
    families = follower.look(exposition.of_jobs)
    text = exposition.write(families, "")[0].decode()
    openmetrics = exposition.write(families, "application/openmetrics-text")[0].decode()
    found = samples(text)
    assert found == {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_openmetrics(openmetrics)
        for sample in family.samples
    }
    return {key: value for key, value in found.items() if value}


def beginning(storage):
    """The place in the journal from where all that counts is counted."""
    return [one.data["seq"] for one in storage.records(STREAM) if one.key is None][-1]


def total(found, wanted):
    """The sum of one metric over its labels."""
    return sum(value for (name, _), value in found.items() if name == wanted)


def expected(storage, since):
    """The same by brute force: the jobs as they are listed now, and the whole journal behind
    `since`, job by job."""
    found = Counter()
    for job in storage.get_list(JobQuery(phases=frozenset(Phase))):
        if job.phase is not Phase.ARCHIVED:
            found["opus_jobs", _labels(job.definition, phase=job.phase.value)] += 1
    newest, changes = storage.changes(since, limit=10**6)
    found["opus_journal_last_seq", ()] = newest
    lives = defaultdict(list)
    for change in changes:
        lives[change.job_id].append(change)
        of = change.definition
        if change.old is None:
            found["opus_jobs_created_total", _labels(of)] += 1
        if change.new is None:
            found["opus_jobs_deleted_total", _labels(of)] += 1
        else:
            found["opus_job_transitions_total", _labels(of, phase=change.new.value)] += 1
    for life in lives.values():
        _measure(found, life)
    return {key: value for key, value in found.items() if value}


def _measure(found, life):
    """The wait and the run of one job, as far as the journal has seen them begin."""
    wanted = [one.time for one in life if one.old in (None, Phase.PENDING) and _active(one.new)]
    began = [one.time for one in life if one.new is Phase.EXECUTING]
    ends = (Phase.COMPLETED, Phase.ERROR, Phase.ABORTED)
    ended = [one.time for one in life if one.new in ends]
    if wanted and began:
        _observe(found, "opus_job_wait_seconds", life[0].definition, wanted[0], began[0])
        if ended:
            _observe(found, "opus_job_run_seconds", life[0].definition, began[0], ended[0])


def _observe(found, name, definition, begin, end):
    seconds = round((end - begin).total_seconds(), 3)
    for bound in BOUNDS:
        if seconds <= bound:
            found[f"{name}_bucket", _labels(definition, le=f"{bound:.1f}")] += 1
    found[f"{name}_bucket", _labels(definition, le="+Inf")] += 1
    found[f"{name}_count", _labels(definition)] += 1
    key = (f"{name}_sum", _labels(definition))
    found[key] = round(found[key] + seconds, 3)


def _active(phase):
    return phase is not None and phase.active


def _labels(definition, **more):
    return tuple(sorted({"definition": definition.name, **more}.items()))
