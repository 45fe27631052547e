from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.backends import JobQuery, Sort
from opus_core.errors import BadRequest
from opus_core.job import DefinitionRef, JobSummary, Phase
from opus_core.queries import Wait, parse_query, parse_wait

INSTANT = datetime(2015, 10, 26, tzinfo=UTC)


def test_no_filter_is_every_job():
    assert parse_query([]) == JobQuery()


def test_the_standards_filters_are_read_whatever_the_case_of_their_names():
    query = parse_query(
        [("phase", "PENDING"), ("PHASE", "ERROR"), ("After", "20151026"), ("last", "5")]
    )
    assert query == JobQuery(phases=frozenset({Phase.PENDING, Phase.ERROR}), after=INSTANT, last=5)


def test_our_own_filters_are_read_only_where_they_are_offered():
    pairs = [("LIMIT", "10"), ("BEFORE", "2015-10-26"), ("TEXT", "a b"), ("SORT", "-ended")]
    assert parse_query(pairs) == JobQuery(
        limit=10, before=INSTANT, text="a b", sort=Sort.ENDED, reverse=True
    )
    assert parse_query(pairs, extended=False) == JobQuery()


def test_names_that_are_nothing_to_a_list_are_passed_over():
    assert parse_query([("_", "12345"), ("WAIT", "x")]) == JobQuery()


@pytest.mark.parametrize(
    "pair",
    [
        ("PHASE", "RUNNIG"), ("PHASE", "pending"), ("PHASE", ""), ("AFTER", "soon"), ("AFTER", ""),
        ("AFTER", "2015-02-30"), ("LAST", "0"), ("LAST", "-3"), ("LAST", "x"), ("LAST", ""),
        ("LAST", "1.5"), ("LIMIT", "0"), ("BEFORE", "x"), ("SORT", "owner"), ("SORT", ""),
        ("CURSOR", "x"), ("CURSOR", "created~~2015-10-26T00:00:00~1"), ("TEXT", "\0"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name_and_never_another_list(pair):
    with pytest.raises(BadRequest, match=f"(?i){pair[0]}"):
        parse_query([pair])


def test_the_last_instant_of_all_is_a_legal_end():
    last = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    assert parse_query([("BEFORE", "9999-12-31T23:59:59.9999")]).before == last


def test_a_filter_that_may_stand_once_may_not_stand_twice():
    with pytest.raises(BadRequest, match="LAST was sent twice"):
        parse_query([("LAST", "1"), ("last", "1")])


def test_a_number_of_any_size_is_cut_to_what_a_storage_can_hold():
    assert parse_query([("LAST", "9" * 6000)]).last == 2**31 - 1


def test_filters_by_time_say_the_same_of_jobs_shown_in_milliseconds():
    after = parse_query([("AFTER", "2015-10-26T00:00:00.1239Z")]).after
    before = parse_query([("BEFORE", "2015-10-26T00:00:00.1231Z")]).before
    shown = INSTANT.replace(microsecond=123_000)
    assert not shown > after  # it is not later than .1239
    assert shown < before  # it is earlier than .1231


@pytest.mark.parametrize("sort", Sort)
def test_a_cursor_that_a_list_gave_is_taken_back_by_the_same_list(sort):
    summary = JobSummary(
        id="1" * 32, definition=DefinitionRef("a", 1), owner=None, run_id=None,
        phase=Phase.ERROR, version=1, created=INSTANT, ended=INSTANT,
    )  # fmt: skip
    cursor = JobQuery(sort=sort).cursor_at(summary)
    assert parse_query([("SORT", sort.value), ("CURSOR", cursor)]).position().id == summary.id
    other = "phase" if sort is not Sort.PHASE else "created"
    with pytest.raises(BadRequest, match="CURSOR"):
        parse_query([("SORT", other), ("CURSOR", cursor)])


@pytest.mark.parametrize(
    ("pairs", "wait"),
    [
        ([], None),
        ([("PHASE", "QUEUED")], None),
        ([("WAIT", "10")], Wait(seconds=10)),
        ([("wait", "-1"), ("phase", "QUEUED")], Wait(seconds=-1, phase=Phase.QUEUED)),
        ([("WAIT", "0")], Wait(seconds=0)),
        ([("WAIT", "9" * 5000)], Wait(seconds=2**31 - 1)),
    ],
)
def test_a_wait_is_seconds_and_the_phase_the_client_believes_in(pairs, wait):
    assert parse_wait(pairs) == wait


@pytest.mark.parametrize(
    "pairs",
    [
        [("WAIT", "")], [("WAIT", "-2")], [("WAIT", "1.5")], [("WAIT", "x")],
        [("WAIT", "-" + "9" * 5000)], [("WAIT", "1"), ("WAIT", "2")],
        [("WAIT", "1"), ("PHASE", "queued")],
    ],
)  # fmt: skip
def test_a_wait_that_is_none_is_refused(pairs):
    with pytest.raises(BadRequest):
        parse_wait(pairs)


NAMES = st.sampled_from(["PHASE", "AFTER", "LAST", "CURSOR", "LIMIT", "BEFORE", "SORT", "WAIT"])


@given(st.lists(st.tuples(NAMES, st.text() | st.from_regex(r"[-+]?[0-9T:.~Z ]+")), max_size=4))
def test_no_query_raises_anything_but_a_bad_request(pairs):
    for parse in (parse_query, parse_wait):
        try:
            parse(pairs)
        except BadRequest as error:
            assert error.sentence  # noqa: PT017 - either way is fine, but an error must speak
