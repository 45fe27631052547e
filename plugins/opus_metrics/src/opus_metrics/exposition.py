"""The numbers as Prometheus reads them, by its conventions for names and units.

Labels are descriptions, phases and components, of which a site has as many as it has made; nothing
is told by user or by job. A description that was ever counted has every phase, with 0 where there
is nothing: an alert cannot compare what is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from opus_core import __version__
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.job import Phase
from opus_core.routes.health import is_silent
from opus_metrics.tally import BOUNDS, SHOWN, Durations, Tally

_ONE = ("definition",)
_EACH = ("definition", "phase")
_OPENMETRICS = "application/openmetrics-text"


def of_jobs(tally: Tally) -> list[Metric]:
    """What the journal tells."""
    jobs = GaugeMetricFamily("opus_jobs", "Jobs neither archived nor deleted.", labels=_EACH)
    created = CounterMetricFamily("opus_jobs_created", "Jobs that were created.", labels=_ONE)
    deleted = CounterMetricFamily("opus_jobs_deleted", "Jobs that were deleted.", labels=_ONE)
    reached = CounterMetricFamily(
        "opus_job_transitions",
        "Times that a job came into a phase, its first one too.",
        labels=_EACH,
    )
    waits = HistogramMetricFamily(
        "opus_job_wait_seconds", "Time from RUN to the first EXECUTING of a job.", labels=_ONE
    )
    runs = HistogramMetricFamily(
        "opus_job_run_seconds", "Time from the first EXECUTING of a job to its end.", labels=_ONE
    )
    for name, numbers in sorted(tally.definitions.items()):
        for phase in SHOWN:
            jobs.add_metric((name, phase.value), numbers.jobs.get(phase.value, 0))
        for entered in Phase:
            reached.add_metric((name, entered.value), numbers.reached.get(entered.value, 0))
        created.add_metric((name,), numbers.created)
        deleted.add_metric((name,), numbers.deleted)
        waits.add_metric((name,), _buckets(numbers.waits), numbers.waits.total / 1000)
        runs.add_metric((name,), _buckets(numbers.runs), numbers.runs.total / 1000)
    seq = GaugeMetricFamily(
        "opus_journal_last_seq", "Number of the last change of a job that is counted.", tally.seq
    )
    return [jobs, created, deleted, reached, waits, runs, seq]


def of_components(health: Mapping[str, Health]) -> list[Metric]:
    """What the supervisor has said of itself and of the rest."""
    supervisor = health.get(SUPERVISOR)
    silent = is_silent(supervisor)
    up = GaugeMetricFamily(
        "opus_supervisor_up", "1 if a supervisor has been heard of lately, else 0.", not silent
    )
    heard = GaugeMetricFamily(
        "opus_supervisor_heartbeat_timestamp_seconds",
        "When a supervisor was last heard of, in seconds since 1970; absent if none ever was.",
        supervisor.heartbeat.timestamp() if supervisor else None,
    )
    works = GaugeMetricFamily(
        "opus_component_up", "0 if a component is down, else 1.", labels=("component",)
    )
    degraded = GaugeMetricFamily(
        "opus_component_degraded",
        "1 if a component works, but not as it should, else 0.",
        labels=("component",),
    )
    for name, one in sorted(health.items()):
        gone = name == SUPERVISOR and silent  # what it said of itself does not count any more
        works.add_metric((name,), one.state is not HealthState.DOWN and not gone)
        degraded.add_metric((name,), one.state is HealthState.DEGRADED and not gone)
    return [up, heard, works, degraded]


def of_answer(seconds: float) -> list[Metric]:
    """What the process that answers says of itself; alone these differ between processes."""
    build = InfoMetricFamily(
        "opus_build", "The version of OPUS that answered.", {"version": __version__}
    )
    duration = GaugeMetricFamily(
        "opus_metrics_scrape_duration_seconds", "Time it took to gather these numbers.", seconds
    )
    return [build, duration]


def write(metrics: Sequence[Metric], accept: str) -> tuple[bytes, str]:
    """The document and its media type: OpenMetrics 1.0 for an `Accept` header that names it, else
    Prometheus' text format 0.0.4, which everything reads."""
    types = {one.partition(";")[0].strip().lower() for one in accept.split(",")}
    # The library is shown no header of a stranger's: it promises whichever version that names.
    encode, media_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in types else "")
    return encode(_All(metrics)), media_type


class _All(Collector):
    """A registry of what there is already, as the library's writers want one."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    names = (*(f"{bound:.1f}" for bound in BOUNDS), "+Inf")
    return list(zip(names, accumulate(durations.counts), strict=True))
