"""A definite no is told from a not now, and both from what may have been a yes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.errors import BackendUnavailable, SubmitDeferred, SubmitRejected
from opus_manager_slurm.refusals import refusal, submitted

sys.path.insert(0, str(Path(__file__).parent))
from recorded import ANSWERS


def said(case: str):
    one = ANSWERS[case]
    return refusal(one.rc, one.stdout, one.stderr)


@pytest.mark.parametrize(
    "case",
    [
        "sbatch mem",
        *(
            f"sbatch refused {what}"
            for what in (
                "partition", "time", "option", "feature", "gres", "reservation", "licence",
                "longname",
            )
        ),
    ],
)  # fmt: skip
def test_what_can_never_be_is_rejected_with_both_reasons(case):
    error = said(case)
    assert isinstance(error, SubmitRejected)
    assert "(" in error.sentence, "SLURM's own words stand behind ours"
    assert "sbatch: error" not in error.sentence


def test_a_partition_that_is_closed_is_waited_for():
    error = said("sbatch refused inactive")
    assert isinstance(error, SubmitDeferred)
    assert "takes no jobs" in error.sentence


@pytest.mark.parametrize("case", ["munge away: sbatch", "controller away: sbatch"])
def test_what_may_have_been_a_yes_is_no_no(case):
    assert isinstance(said(case), BackendUnavailable)


@pytest.mark.parametrize(
    "stderr",
    [
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.",
        "sbatch: error: Batch job submission failed: Something that nobody has seen",
        "Segmentation fault",
        "",
    ],
)
def test_what_is_not_known_is_not_known(stderr):
    assert isinstance(refusal(1, "", stderr), BackendUnavailable)


@pytest.mark.parametrize(
    ("stdout", "job_id"),
    [
        ("123\n", "123"),
        ("123;north\n", "123"),
        ("Submitted batch job 123\n", "123"),
        ("Submitted batch job 123 on cluster north\n", "123"),
        ("Welcome to Stampede3\n7 nodes are down\n123\n\n", "123"),
        ("3 dwarfs\n123;north\nHave a nice day, 5 times\n", "123"),
        ("Welcome to Stampede3\n", None),
        ("sbatch: 123 jobs\n", None),
        ("", None),
        ("-1\n", None),
    ],
)
def test_the_id_is_a_line_of_its_own(stdout, job_id):
    assert submitted(stdout) == job_id


def test_success_without_an_id_is_not_known():
    assert isinstance(refusal(0, "Welcome to Stampede3\n", ""), BackendUnavailable)


@given(st.integers(0, 255), st.text(), st.text())
def test_any_answer_is_one_of_the_three(code, stdout, stderr):
    error = refusal(code, stdout, stderr)
    assert isinstance(error, (SubmitRejected, SubmitDeferred, BackendUnavailable))
    assert error.sentence.strip()
    submitted(stdout)
