"""What is written can be read by what Prometheus reads with, and says what the storage says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics.numbers import samples
from opus_core import __version__
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.job import Phase, now
from opus_metrics import exposition
from opus_metrics.tally import Tally

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
STRANGE = 'a "quoted" \\ back\\nslash,\nof {two} lines = 1 é'


def health(state=HealthState.OK, *, ago=0):
    then = now() - timedelta(seconds=ago)
    return Health(state=state, sentence="so it is", since=then, heartbeat=then)


def of_components(**components):
    told = {name.replace("_", " "): one for name, one in components.items()}
    metrics = exposition.of_components(told)
    return samples(exposition.write(metrics, "")[0].decode())


def of(name, component):
    return (name, (("component", component),))


def test_labels_are_escaped():
    metrics = exposition.of_jobs(Tally.at(7, [(STRANGE, Phase.HELD)]))
    metrics += exposition.of_components({STRANGE: health()})
    found = samples(exposition.write(metrics, "")[0].decode())
    assert found["opus_jobs", (("definition", STRANGE), ("phase", "HELD"))] == 1
    assert found[of("opus_component_up", STRANGE)] == 1
    text = exposition.write(metrics, "application/openmetrics-text")[0].decode()
    names = {
        sample.labels["definition"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "definition" in sample.labels
    }
    assert names == {STRANGE}


def test_a_description_that_was_counted_has_every_phase():
    found = samples(
        exposition.write(exposition.of_jobs(Tally.at(7, [("fit", Phase.HELD)])), "")[0].decode()
    )
    phases = {dict(key[1])["phase"]: value for key, value in found.items() if key[0] == "opus_jobs"}
    assert phases == {
        phase.value: float(phase is Phase.HELD) for phase in Phase if phase is not Phase.ARCHIVED
    }


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", PLAIN),
        ("text/plain;version=strange", PLAIN),
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4", OPENMETRICS),
        ("text/plain, Application/OpenMetrics-Text ; version=99.x", OPENMETRICS),
    ],
)
def test_the_format_is_one_that_was_asked_for(accept, media_type):
    body, found = exposition.write(exposition.of_answer(0.5), accept)
    assert found == media_type
    assert body.endswith(b"# EOF\n") == (media_type == OPENMETRICS)


def test_every_metric_has_help_and_a_type():
    metrics = [
        *exposition.of_jobs(Tally.at(7, [("fit", Phase.HELD)])),
        *exposition.of_components({SUPERVISOR: health()}),
        *exposition.of_answer(0.5),
    ]
    text = exposition.write(metrics, "")[0].decode()
    lines = text.splitlines()
    typed = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE ")}
    helped = {line.split()[2] for line in lines if len(line.split()) > 4 and "# HELP" in line}
    assert typed.keys() == helped
    counters = {name for name, kind in typed.items() if kind == "counter"}
    assert counters == {name for name in typed if name.endswith("_total")}
    assert len(typed) == len(metrics)


def test_a_supervisor_is_up_while_it_says_so():
    heard = health(ago=3)
    found = of_components(supervisor=heard)
    assert found["opus_supervisor_up", ()] == 1
    key = ("opus_supervisor_heartbeat_timestamp_seconds", ())
    assert found[key] == heard.heartbeat.timestamp()
    assert found[of("opus_component_up", "supervisor")] == 1


def test_what_a_supervisor_said_long_ago_is_no_sign_of_it():
    found = of_components(supervisor=health(HealthState.DEGRADED, ago=31), manager=health())
    assert found["opus_supervisor_up", ()] == 0
    assert found[of("opus_component_up", "supervisor")] == 0
    assert found[of("opus_component_degraded", "supervisor")] == 0
    assert found[of("opus_component_up", "manager")] == 1


def test_where_there_never_was_a_supervisor_none_is_up():
    assert of_components() == {("opus_supervisor_up", ()): 0}


@pytest.mark.parametrize(
    ("state", "up", "degraded"),
    [(HealthState.OK, 1, 0), (HealthState.DEGRADED, 1, 1), (HealthState.DOWN, 0, 0)],
)
def test_a_component_is_up_unless_it_is_down(state, up, degraded):
    found = of_components(supervisor=health(), plugin_of_mine=health(state, ago=1000))
    assert found[of("opus_component_up", "plugin of mine")] == up
    assert found[of("opus_component_degraded", "plugin of mine")] == degraded


def test_the_process_that_answers_says_its_version_and_how_long_it_took():
    found = samples(exposition.write(exposition.of_answer(0.25), "")[0].decode())
    assert found == {
        ("opus_build_info", (("version", __version__),)): 1,
        ("opus_metrics_scrape_duration_seconds", ()): 0.25,
    }
