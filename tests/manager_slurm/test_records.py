"""What SLURM prints is read as it was meant: by recordings, and by text that nobody has seen."""

from __future__ import annotations

import sys
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.backends import Cause, Kind
from opus_manager_slurm.records import (
    SACCT_FIELDS,
    SEPARATOR,
    SQUEUE_FIELDS,
    parse_sacct,
    parse_scontrol,
    parse_squeue,
)

sys.path.insert(0, str(Path(__file__).parent))
from recorded import ANSWERS

QUEUE = {row.name: row for row in parse_squeue(ANSWERS["squeue all"].stdout)}
HISTORY = {row.name: row for row in parse_sacct(ANSWERS["sacct all"].stdout)}


@pytest.mark.parametrize(
    ("name", "kind", "cause"),
    [
        ("rec-ok", Kind.ENDED, Cause.OK),
        ("rec-exit3", Kind.ENDED, Cause.FAILED),
        ("rec-segv", Kind.ENDED, Cause.FAILED),
        ("rec-run", Kind.RUNNING, None),
        ("rec-cancel", Kind.ENDED, Cause.CANCELLED),
        ("rec-held", Kind.HELD, None),
        ("rec-down", Kind.ENDED, Cause.CANCELLED),
        ("rec-limit", Kind.QUEUED, None),
        ("rec-nodes", Kind.QUEUED, None),
        ("rec-susp", Kind.SUSPENDED, None),
        ("rec-dep", Kind.QUEUED, None),
        ("rec-mem", Kind.ENDED, Cause.LAUNCH),  # refused, and yet it left this behind
    ],
)
def test_squeue_tells_of_every_state(name, kind, cause):
    status = QUEUE[name].status()
    assert (status.kind, status.cause) == (kind, cause)


@pytest.mark.parametrize(
    ("name", "code", "signal"), [("rec-ok", 0, None), ("rec-exit3", 3, None), ("rec-segv", 0, 11)]
)
@pytest.mark.parametrize("rows", [QUEUE, HISTORY], ids=["squeue", "sacct"])
def test_an_end_has_its_code_and_its_signal(rows, name, code, signal):
    status = rows[name].status()
    assert (status.exit_code, status.signal) == (code, signal)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rec-limit", ["for ever", "less time", "PartitionTimeLimit"]),
        ("rec-nodes", ["for ever", "PartitionConfig"]),
        ("rec-dep", ["for ever", "DependencyNeverSatisfied"]),
        ("rec-held", ["PHASE=RUN", "JobHeldUser"]),
    ],
)
def test_a_reason_is_told_in_plain_words_with_its_own(name, words):
    reason = QUEUE[name].status().reason
    assert all(word in reason for word in words), reason


def test_what_waits_has_no_start_and_what_runs_no_end():
    assert QUEUE["rec-limit"].status().started is None
    assert QUEUE["rec-run"].status().started is not None
    assert QUEUE["rec-run"].status().ended is None
    assert QUEUE["rec-ok"].status().ended is not None


def test_instants_are_in_utc():
    assert QUEUE["rec-ok"].submitted.tzinfo is UTC
    assert QUEUE["rec-ok"].submitted == HISTORY["rec-ok"].submitted


def test_a_name_with_quotes_blanks_and_a_bar_is_one_field():
    assert any(name.startswith("rec odd \"|'") for name in QUEUE)


def test_only_an_end_of_the_accounting_is_final():
    assert HISTORY["rec-ok"].final
    assert HISTORY["rec-cancel"].final, "its state is CANCELLED by 0"
    assert not HISTORY["rec-run"].final


def test_scontrol_shows_what_is_worth_showing():
    info = parse_scontrol(ANSWERS["scontrol show"].stdout)
    assert info["JobName"] == "rec-run"
    assert info["JobState"] == "RUNNING"
    assert info["StartTime"].endswith("Z")
    assert "Command" not in info


# -- text that nobody has seen

FIELD = st.text(st.characters(exclude_characters="\n\x1f", codec="utf-8"))


@given(st.text())
def test_no_text_is_too_odd(text):
    for parse in (parse_squeue, parse_sacct):
        for row in parse(text):
            row.status()
    parse_scontrol(text)


@given(st.lists(FIELD, min_size=8, max_size=10))
def test_fields_of_any_text_make_a_row_or_none(fields):
    line = SEPARATOR.join(["17", *fields])
    for parse, width in ((parse_squeue, len(SQUEUE_FIELDS)), (parse_sacct, len(SACCT_FIELDS))):
        rows = parse(line)
        if len(fields) + 1 == width:
            assert rows[0].name == fields[0].strip()
        for row in rows:
            assert row.job_id == "17"
            row.status()


@given(name=FIELD, state=FIELD, reason=FIELD)
def test_banners_around_rows_hide_none(name, state, reason):
    row = SEPARATOR.join(["17", name, state, reason, "0", "5", "6", "7", "0", ""])
    text = f"Welcome to cluster 3\n\n{row}\n*** maintenance on 1|2|3 ***\n"
    assert [one.job_id for one in parse_squeue(text)] == ["17"]


@pytest.mark.parametrize(
    ("end", "cause", "said"),
    [
        ("0:53", Cause.LAUNCH, "FAILED"),  # no signal: its output could not be opened
        ("0:9", Cause.FAILED, "FAILED by signal 9, which is also how too much memory ends"),
        ("0:15", Cause.FAILED, "FAILED by signal 15"),
        ("3:0", Cause.FAILED, "FAILED"),
    ],
)
def test_a_failure_is_told_apart_as_far_as_slurm_does(end, cause, said):
    line = SEPARATOR.join(["7", "name", "FAILED", "None", end, "1", "2", "3"])
    (row,) = parse_sacct(line)
    status = row.status()
    assert status.cause is cause
    assert status.reason.startswith(said)


def test_what_is_suspended_says_so_though_slurm_does_not():
    assert "the cluster has suspended it" in QUEUE["rec-susp"].status().reason
