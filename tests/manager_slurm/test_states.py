"""Every state of SLURM's own list, and what is in none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.backends import Cause, Kind
from opus_manager_slurm.states import STATES, kind_of, sentence_of, word_of

# The page "Job State Codes" of SLURM: base states, then flags.
BASE = """BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED
RUNNING SUSPENDED TIMEOUT""".split()
FLAGS = """COMPLETING CONFIGURING EXPEDITING LAUNCH_FAILED POWER_UP_NODE RECONFIG_FAIL REQUEUED
REQUEUE_FED REQUEUE_HOLD RESIZING RESV_DEL_HOLD REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED
UPDATE_DB""".split()


@pytest.mark.parametrize("state", [*BASE, *FLAGS])
def test_every_state_has_a_meaning(state):
    assert state in STATES


def test_the_table_has_no_other():
    assert set(STATES) == {*BASE, *FLAGS}


@pytest.mark.parametrize("state", BASE)
def test_a_base_state_is_recognised(state):
    assert kind_of(state, "None")[0] is not Kind.UNRECOGNISED


@pytest.mark.upstream("A4.4")
@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("CANCELLED by 1000", (Kind.ENDED, Cause.CANCELLED)),
        ("CANCELLED+", (Kind.ENDED, Cause.CANCELLED)),
        ("OUT_OF_ME+", (Kind.UNRECOGNISED, None)),  # cut off: nobody guesses
        ("", (Kind.UNRECOGNISED, None)),
        ("completed", (Kind.UNRECOGNISED, None)),
        ("HIBERNATING", (Kind.UNRECOGNISED, None)),
    ],
)
def test_only_the_word_counts(state, meaning):
    assert kind_of(state, "None") == meaning


@pytest.mark.parametrize(
    "reason", ["JobHeldUser", "JobHeldAdmin", "job requeued in held state", "(JobHeldUser)"]
)
def test_pending_for_a_hold_is_held(reason):
    assert kind_of("PENDING", reason) == (Kind.HELD, None)
    assert "hold" in sentence_of(reason) or "held" in sentence_of(reason)


@pytest.mark.parametrize("reason", ["", "None", "(null)", "(None)"])
def test_no_reason_is_no_sentence(reason):
    assert sentence_of(reason) == ""


def test_scontrols_spelling_is_the_same_reason():
    assert sentence_of("job_requeued_in_held_state") == sentence_of("job requeued in held state")


@given(st.text(), st.text())
def test_any_text_has_a_meaning_and_a_sentence(state, reason):
    kind, cause = kind_of(state, reason)
    assert (cause is not None) == (kind is Kind.ENDED)
    assert isinstance(sentence_of(reason), str)
    assert word_of(state) == word_of(f"{word_of(state)} by 7") or not word_of(state)
