"""Journeys through lists of jobs and through what is told of their changes."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from opus_core.testing.journeys.stage import OnStage, Stage
from opus_core.testing.journeys.witness import Witness
from opus_core.testing.timing import eventually

_NEXT = re.compile(r'<([^>]*)>; rel="next"')


class ListJourneys(OnStage):
    """Lists by phase, time and page; and the journal."""

    def test_lists_are_filtered_and_paged(self, stage: Stage) -> None:
        jobs = [stage.witness(run=False) for _ in range(7)]
        for job in jobs[:3]:
            job.ask("ABORT")
        jobs[3].ask("RUN")
        jobs[3].ends("COMPLETED")
        ids = [job.id for job in jobs]

        def listed(query: str) -> list[str]:
            return [one["jobId"] for one in stage.document(f"/rest/{stage.name}{query}")["jobs"]]

        assert listed("") == ids, f"{stage.storage} lists jobs as they were created"
        assert listed("?PHASE=ABORTED") == ids[:3], f"{stage.storage}: PHASE=ABORTED"
        both = listed("?PHASE=ABORTED&PHASE=COMPLETED")
        assert both == ids[:4], f"{stage.storage}: PHASE=ABORTED&PHASE=COMPLETED"
        assert listed("?LAST=2") == ids[:-3:-1], f"{stage.storage}: LAST=2, the newest first"
        times = {one.id: one.document()["creationTime"] for one in jobs}
        late = [job_id for job_id in ids if times[job_id] > times[ids[4]]]
        assert listed(f"?AFTER={times[ids[4]]}") == late, f"{stage.storage}: AFTER"
        assert self._pages(stage, 3) == [ids[:3], ids[3:6], ids[6:]], f"{stage.storage}: LIMIT=3"

    def test_changes_tells_of_every_change_in_order(self, stage: Stage) -> None:
        since = stage.document("/changes")["seq"]
        jobs = [stage.witness(run=False) for _ in range(3)]
        for job in jobs:
            job.ask("RUN")
        for job in jobs:
            job.ends("COMPLETED")
            job.delete()

        def told() -> list[dict[str, Any]]:
            changes: list[dict[str, Any]] = stage.document(f"/changes?after={since}")["changes"]
            return changes

        changes = told()
        numbers = [one["seq"] for one in changes]
        assert numbers == sorted(set(numbers)), f"{stage.storage}: numbers of changes {numbers}"
        for job in jobs:
            self._is_whole(stage, job, [one for one in changes if one["jobId"] == job.id])
        left = stage.document(f"/changes?after={numbers[-1]}")["changes"]
        assert not [one for one in left if one["jobId"] in {job.id for job in jobs}]
        eventually(
            lambda: not any(stage.job_folder(job.id).exists() for job in jobs),
            "the folders of deleted jobs are gone",
        )

    @staticmethod
    def _is_whole(stage: Stage, job: Witness, rows: list[dict[str, Any]]) -> None:
        """Each change begins where the last one ended, from creation to deletion."""
        path = [(one["from"], one["phase"]) for one in rows]
        gaps = [f"{a[1]} -> {b[0]}" for a, b in pairwise(path) if a[1] != b[0]]
        said = f"the journal of {stage.storage} tells of job {job.id} {path}"
        assert not gaps, f"{said}: something is missing between {' and '.join(gaps)}"
        assert path[:1] == [(None, "PENDING")], f"{said}: its creation is missing"
        assert path[-1:] == [("COMPLETED", None)], f"{said}: its deletion is missing"
        phases = {one[1] for one in path}
        lacking = {"QUEUED", "EXECUTING", "COMPLETED"} - phases
        assert not lacking, f"{said}: nothing of {' and '.join(sorted(lacking))}"

    @staticmethod
    def _pages(stage: Stage, size: int) -> list[list[str]]:
        """The ids of each page, as the links lead from one to the next."""
        found: list[list[str]] = []
        url = f"/rest/{stage.name}?LIMIT={size}"
        while url and len(found) < 10:
            answer = stage.get(url)
            assert answer.status == 200, answer.text
            found.append(re.findall(r'<(?:\w+:)?jobref id="([^"]+)"', answer.text))
            way = _NEXT.search(answer.headers.get("Link", ""))
            url = way[1] if way else ""
        return found
