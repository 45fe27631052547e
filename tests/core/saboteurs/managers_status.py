"""Managers with one promise broken each, about their answers."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import ClassVar

from core.saboteurs import managers
from core.saboteurs.managers import Saboteur
from core.saboteurs.registry import breaks
from opus_core.backends import Cause, Kind, Ref, Status
from opus_core.errors import BackendUnavailable
from opus_core.testing.manager_status import StatusPromises

fixtures = managers.fixtures


@breaks(StatusPromises, "test_every_ref_is_answered", more="a ref without answer is missed by all")
class AnswersNativeIdsAlone(Saboteur):
    def get_status(self, refs):
        return super().get_status([ref for ref in refs if ref.native_id])


@breaks(StatusPromises, "test_no_refs_no_answers")
class AnswersAll(Saboteur):
    def get_status(self, refs):
        return super().get_status(refs or [Ref(tag="all")])


@breaks(StatusPromises, "test_each_answer_is_of_its_own_ref")
class MixesAnswersUp(Saboteur):
    def get_status(self, refs):
        found = super().get_status(refs)
        if len(refs) == 4:
            return dict(zip(refs, [found[ref] for ref in refs[::-1]], strict=True))
        return found


@breaks(
    StatusPromises,
    "test_what_was_never_known_is_gone",
    "test_a_native_id_under_a_foreign_tag_is_gone",
    "test_each_answer_is_of_its_own_ref",
)
class UnknownIsUnrecognised(Saboteur):
    def change(self, found):
        return Status(kind=Kind.UNRECOGNISED) if found.kind is Kind.GONE else found


@breaks(StatusPromises, "test_a_native_id_under_a_foreign_tag_is_gone")
class BelievesNativeIds(Saboteur):
    def matching(self, ref):
        if ref.native_id is None:
            return super().matching(ref)
        return [record for record in self.records() if record["id"] == ref.native_id]


@breaks(StatusPromises, "test_a_submission_is_known_by_its_tag_alone")
class KnowsNoTag(Saboteur):
    def status(self, ref):
        return super().status(ref) if ref.native_id else Status(kind=Kind.GONE)


@breaks(
    StatusPromises,
    "test_a_submission_is_never_gone_from_its_start_to_its_end",
)
class GoneForAMoment(Saboteur):
    asked: ClassVar[Counter[str]] = Counter()

    def status(self, ref):
        found = super().status(ref)
        records = self.matching(ref)
        if records and "sleep 0.2" in (Path(records[0]["folder"]) / "script").read_text():
            self.asked[ref.tag] += 1
            if self.asked[ref.tag] == 2:
                return Status(kind=Kind.GONE)
        return found


@breaks(
    StatusPromises,
    "test_a_script_that_runs_is_running",
    "test_a_submission_is_known_by_its_tag_alone",
    "test_each_answer_is_of_its_own_ref",
)
class QueuedToTheEnd(Saboteur):
    def change(self, found):
        return replace(found, kind=Kind.QUEUED) if found.kind is Kind.RUNNING else found


@breaks(
    StatusPromises,
    "test_a_script_that_succeeds_has_ended_ok",
    more="many tests wait for an end that is OK",
)
class NothingIsOk(Saboteur):
    def change(self, found):
        return replace(found, cause=Cause.CANCELLED) if found.cause is Cause.OK else found


@breaks(StatusPromises, "test_a_script_that_fails_has_failed_with_its_exit_code")
class ForgetsTheExitCode(Saboteur):
    def change(self, found):
        return replace(found, exit_code=1 if found.exit_code else found.exit_code)


@breaks(
    StatusPromises,
    "test_the_times_of_a_status_are_in_utc_and_in_order",
    says="not in UTC",
)
class LocalTime(Saboteur):
    def change(self, found):
        zone = timezone(timedelta(hours=2))
        return replace(found, ended=found.ended and found.ended.astimezone(zone))


@breaks(StatusPromises, "test_the_times_of_a_status_are_in_utc_and_in_order")
class EndsBeforeItBegins(Saboteur):
    def change(self, found):
        return replace(found, started=found.ended, ended=found.started)


@breaks(StatusPromises, "test_what_is_held_is_held_until_it_is_resumed")
class HoldsNothing(Saboteur):
    def start(self, task):
        return super().start(replace(task, options={}))


@breaks(StatusPromises, "test_what_is_held_is_held_until_it_is_resumed")
class ResumesNothing(Saboteur):
    def resume(self, ref):
        """Forgotten."""


@breaks(StatusPromises, "test_get_info_is_text")
class InfoOfAnyKind(Saboteur):
    def get_info(self, ref):
        return {"number": 1}


@breaks(
    StatusPromises,
    "test_it_answers_several_threads_at_once",
    says="AnswersOneAtATime.get_status has raised RuntimeError",
)
class AnswersOneAtATime(Saboteur):
    asking = 0

    def get_status(self, refs):
        self.asking += 1
        time.sleep(0.02)
        alone = self.asking == 1
        self.asking -= 1
        if not alone:
            raise RuntimeError("somebody else is asking")
        return super().get_status(refs)


@breaks(StatusPromises, "test_what_cannot_be_asked_is_unavailable")
class NothingFoundWhenDown(Saboteur):
    def find(self, tags):
        try:
            return super().find(tags)
        except BackendUnavailable:
            return dict.fromkeys(tags, ())


@breaks(StatusPromises, "test_what_cannot_be_asked_is_unavailable")
class AbortsInSilence(Saboteur):
    def abort(self, ref):
        with suppress(BackendUnavailable):
            super().abort(ref)


@breaks(StatusPromises, "test_what_was_unavailable_is_known_again")
class DownForGood(Saboteur):
    down = False

    def get_status(self, refs):
        if self.down and len(refs) == 1:
            self.reach_never()
        try:
            return super().get_status(refs)
        except BackendUnavailable:
            self.down = True
            raise

    def reach_never(self):
        raise BackendUnavailable("it was down once")
