"""Journeys of users: whoever signs in has jobs of their own."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from opus_core.plugins import Registry
from opus_core.testing.journeys.stage import OnStage, Stage


class SignInJourneys(OnStage):
    """Where a plugin says who is asking, or the headers of the journeys do."""

    def test_a_job_belongs_to_who_has_signed_in(self, stage: Stage) -> None:
        registry = Registry.installed(stage.loaded.plugins.disabled)
        registry.extensions(stage.loaded)
        doors = registry.hooks.named("opus_authenticate")
        if not stage.headers:
            assert not doors, (
                f"{', '.join(doors)} is to know who is asking, and nobody was sent there: give"
                " --opus-header 'NAME: VALUE' with what it knows somebody by"
            )
            pytest.skip("nobody signs in: --opus-header says how")
        job = stage.witness(run=False)
        assert stage.document(job.url)["ownerId"], (
            f"the job of who sends {', '.join(stage.headers)} has no owner:"
            f" {', '.join(doors) or 'nobody here'} does not know them"
        )
        headers, stage.headers = stage.headers, {}
        try:
            status = stage.get(urlsplit(job.url).path).status
        finally:
            stage.headers = headers
        assert status in (401, 403), f"somebody unknown was answered {status} for that job"
