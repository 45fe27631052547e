"""What is written for admins is what there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.job import Phase, now
from opus_metrics import exposition
from opus_metrics.options import MetricsOptions
from opus_metrics.tally import Tally

CHECKOUT = Path(__file__).resolve().parents[2]
README = CHECKOUT / "plugins" / "opus_metrics" / "README.md"
PAGE = CHECKOUT / "docs" / "admin" / "monitoring.md"
BOTH = pytest.mark.parametrize("page", [README, PAGE], ids=lambda page: page.name)


def exposed():
    """Every metric by the name that is asked for it: its type and labels."""
    then = now()
    fine = Health(state=HealthState.OK, sentence="", since=then, heartbeat=then)
    families = [
        *exposition.of_jobs(Tally.at(0, [("fit", Phase.QUEUED)])),
        *exposition.of_components({SUPERVISOR: fine}),
        *exposition.of_answer(0.0),
    ]
    endings = {"counter": "_total", "info": "_info"}
    return {
        family.name + endings.get(family.type, ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in families
    }


def examples(page):
    text = page.read_text()
    return [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


@BOTH
def test_the_table_has_every_metric_with_its_type_and_labels(page):
    rows = re.findall(r"^\| `(opus_\w+)` \| (\w+) \| (.*?) ?\| ", page.read_text(), re.MULTILINE)
    listed = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert listed == exposed()


@BOTH
def test_the_scrape_asks_where_the_numbers_are(page):
    [scrapes] = [one["scrape_configs"] for one in examples(page) if "scrape_configs" in one]
    assert [one["metrics_path"] for one in scrapes] == ["/plugins/metrics"] * len(scrapes)
    assert all(one["static_configs"][0]["targets"] for one in scrapes)


@BOTH
def test_alerts_are_about_metrics_that_there_are(page):
    [groups] = [one["groups"] for one in examples(page) if "groups" in one]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) >= 2
    parts = {
        f"{name}{part}"
        for name, (kind, _) in exposed().items()
        for part in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))
    }
    for rule in rules:
        assert set(re.findall(r"\bopus_\w+", rule["expr"])) <= parts
        assert set(re.findall(r'phase=~?"(\w+)"', rule["expr"])) <= set(Phase)
        assert "record" in rule or rule["annotations"]["summary"]


def test_the_first_page_has_the_keys():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|$", README.read_text(), re.MULTILINE)
    fields = dataclasses.fields(MetricsOptions)
    assert rows == [(field.name, field.metadata["help"]) for field in fields]
