"""Promises of `Storage` about values: text to the character, instants in UTC, JSON in its kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from opus_core.backends import Health, HealthState, JobQuery, Storage
from opus_core.job import DefinitionRef, Parameter, Phase, now
from opus_core.testing.samples import LONG_AGO, a_job, a_running_job
from opus_core.testing.storage_kit import StorageKit
from opus_core.testing.strategies import HOSTILE

ALIKE: Final = ("\u00e9", "e\u0301", "\u00c9", "e", "\u00e9 ", " \u00e9")
"""Texts that some take for one another: composed, decomposed, of another case, padded."""

MEGABYTES: Final = "\U0001f52d<&'\"\\\n" * 400_000  # 4 MB as UTF-8


class ValuePromises(StorageKit):
    """Every value comes back as it was given, byte for byte."""

    def test_every_text_comes_back_to_the_character(self, storage: Storage) -> None:
        for text in filter(None, HOSTILE):
            job = a_job(
                owner=text,
                quota_key=text,
                run_id=text,
                parameters=(Parameter(name=text, value=text),),
                options={text: text},
                job_info={text: text},
            )
            storage.add(job)
            kept = storage.read(job.id)
            assert kept == replace(job, version=1), f"text was changed by storing it: {text[:40]!r}"

    def test_texts_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        jobs = {
            text: storage.add(a_job(owner=text, definition=DefinitionRef(text, 1)))
            for text in ALIKE
        }
        for text, job in jobs.items():
            for query in (JobQuery(owner=text), JobQuery(definition=text)):
                found = [one.id for one in storage.get_list(query)]
                assert found == [job.id], f"{text!r} is compared by something else than its bytes"
            changed = [one.job_id for one in storage.changes(0, owner=text)[1]]
            assert changed == [job.id], f"the journal takes another owner for {text!r}"

    def test_streams_and_keys_that_look_alike_are_told_apart(self, storage: Storage) -> None:
        for text in ALIKE:
            storage.append(text, {"of": text})
            storage.append("keys", {"of": text}, key=text)
        for text in ALIKE:
            assert [one.data for one in storage.records(text)] == [{"of": text}], (
                f"the stream {text!r} holds what belongs to another"
            )
        kept = [one.key for one in storage.records("keys")]
        assert kept == list(ALIKE), "a key has replaced the record of another one"

    def test_a_job_of_megabytes_comes_back(self, storage: Storage) -> None:
        job = a_job(parameters=(Parameter(name="x", value=MEGABYTES),))
        storage.add(job)
        assert storage.read(job.id) == replace(job, version=1), "a large job was changed or cut"

    def test_instants_are_answered_in_utc(self, storage: Storage) -> None:
        times = ("created", "queued", "started", "ended", "destruction", "quote", "submitted_at")
        job = storage.add(a_running_job(**dict.fromkeys(times, LONG_AGO)))
        storage.save(replace(job, phase=Phase.COMPLETED), expected=1)
        fine = Health(state=HealthState.OK, sentence="fine", since=LONG_AGO, heartbeat=LONG_AGO)
        storage.set_health("kit", fine)
        storage.append("kit", {})
        answers = {
            "read": storage.read(job.id),
            "todo": storage.todo(1),
            "summary": storage.summary(job.id),
            "get_list": list(storage.get_list(JobQuery())),
            "live": list(storage.live()),
            "changes": storage.changes(0)[1],
            "lease": storage.lease("kit", "me", 60),
            "health": storage.health(),
            "records": storage.records("kit"),
        }
        for method, answer in answers.items():
            found = list(_instants(answer))
            assert found, f"{method} has answered no instant"
            assert all(one.utcoffset() == timedelta(0) for one in found), (
                f"{method} answers instants that are not in UTC"
            )

    def test_the_journal_and_records_tell_whole_milliseconds(self, storage: Storage) -> None:
        before = now()
        storage.add(a_job())
        storage.append("kit", {})
        for entry in (storage.changes(0)[1][0], storage.records("kit")[0]):
            assert entry.time.microsecond % 1000 == 0, "finer than a job document can show"
            assert abs(entry.time - before) < timedelta(minutes=5)

    def test_the_kinds_of_values_in_a_record_are_kept(self, storage: Storage) -> None:
        # 1, 1.0 and True are equal, and yet not the same in JSON.
        data = {"a": 1, "b": 1.0, "c": True, "d": "1", "e": None, "f": [], "g": {}, "h": 2**53}
        storage.append("kit", data)
        (record,) = storage.records("kit")
        kept = {key: repr(value) for key, value in record.data.items()}
        assert kept == {key: repr(value) for key, value in data.items()}, (
            "a value of JSON came back as one of another kind"
        )


def _instants(answer: Any) -> Iterator[datetime]:  # noqa: ANN401  whatever was answered
    """All instants in an answer."""
    if isinstance(answer, datetime):
        yield answer
    elif isinstance(answer, dict):
        yield from _instants(list(answer.values()))
    elif isinstance(answer, list | tuple):
        for one in answer:
            yield from _instants(one)
    elif is_dataclass(answer):
        for one in fields(answer):
            yield from _instants(getattr(answer, one.name))
