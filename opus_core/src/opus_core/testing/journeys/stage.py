"""The server that the journeys go through, and the fixture that hands it from one to the next."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

from opus_core.app import open_catalogue
from opus_core.config import Config, load
from opus_core.definition import JobDefinition
from opus_core.definitions import Catalogue
from opus_core.testing.journeys.recipe import Place, Recipe
from opus_core.testing.journeys.witness import Witness, definition, gate_of
from opus_core.testing.server import Server
from opus_core.testing.timing import PATIENCE

_TAIL: Final = 3000  # characters of the log that a failure shows

_numbers = itertools.count(1)


@dataclass(kw_only=True)
class Stage(Server):
    """A server of a recipe. Each journey has a job description of its own, `name`."""

    answers = True

    place: Place
    name: str = ""
    witnesses: list[Witness] = field(default_factory=list)
    web: subprocess.Popen[bytes] | None = None
    _read: int = 0  # how much of the log has been looked at

    @classmethod
    def open(cls, recipe: Recipe) -> Stage:
        """A new server that is up."""
        place = recipe.place()
        stage = cls(
            folder=place.folder, place=place, prefix=recipe.prefix, headers=dict(recipe.headers)
        )
        place.configure(stage.port)
        (place.folder / "ledgers").mkdir()
        place.run(recipe.before)
        try:
            stage.serve()
        except BaseException:
            stage.close(keep=True)
            raise
        return stage

    def close(self, *, keep: bool = False) -> None:
        """Stop it and remove its folder, unless that is to be kept."""
        self.stop()
        self.place.run(self.place.recipe.after)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- what it is made of

    @cached_property
    def loaded(self) -> Config:
        """Its configuration."""
        return load(self.config)

    @property
    def storage(self) -> str:
        """The storage, as failures name it."""
        return f"the storage {self.loaded.storage.use!r}"

    @property
    def manager(self) -> str:
        """The manager, as failures name it."""
        return f"the manager {self.loaded.manager.use!r}"

    @property
    def jdl(self) -> str:
        """The format of descriptions, as failures name it."""
        return f"the format {self.loaded.jdl.use!r}"

    @property
    def log(self) -> str:
        """What it has written into its log."""
        path = self.loaded.log_file
        return path.read_text() if path is not None and path.exists() else ""

    def catalogue(self) -> Catalogue:
        """Its job descriptions, as `opus jdl` opens them: read and written by its own format."""
        return open_catalogue(self.loaded)

    def job_folder(self, job_id: str) -> Path:
        """Where the job's folder is."""
        return self.loaded.jobs_folder / job_id[:2] / job_id

    # -- processes

    def serve(self, *arguments: str, program: Path | None = None) -> subprocess.Popen[bytes]:
        """As any server does; there is one at a time."""
        self.web = super().serve(*arguments, program=program)
        return self.web

    @property
    def up(self) -> bool:
        """Whether the web server was started and has not ended."""
        return self.web is not None and self.web.poll() is None

    def kill(self) -> None:
        """kill -9 of the web server, which is dead when this returns."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM to the web server; AssertionError if it does not end well."""
        code = self._end(signal.SIGTERM)
        said = (self.folder / "stderr.log").read_text()[-3000:]
        assert code == 0, f"a server that was told to stop ended with exit code {code}:\n{said}"

    def _end(self, how: signal.Signals) -> int:
        assert self.web is not None, "there is no web server"
        self.web.send_signal(how)
        code = self.web.wait(timeout=max(30, PATIENCE))
        self.processes.remove(self.web)
        self.web = None
        return code

    # -- jobs

    def publish(self, described: JobDefinition) -> None:
        """Publish a description in the format of this server."""
        self.catalogue().publish(described, "journeys")

    def witness(self, *, run: bool = True, waits: bool = False, **fields: str) -> Witness:
        """A new job of this journey's, that waits in its script for `let_end` if it `waits`."""
        ledger = self.folder / "ledgers" / f"{self.name}-{len(self.witnesses)}"
        gate = str(gate_of(ledger)) if waits else ""
        given = {"ledger": str(ledger), "gate": gate, **fields}
        answer = self.post(f"/rest/{self.name}", given | ({"PHASE": "RUN"} if run else {}))
        assert answer.status == 303, (
            f"a job with the parameters {', '.join(given)} was to be created, and was answered"
            f" {answer.status}: {answer.text}\n({self.storage}, {self.jdl})"
        )
        self.witnesses.append(Witness(self, answer.location, ledger))
        return self.witnesses[-1]

    def begin(self) -> None:
        """Make ready for a journey: with a description that nobody has used, and up."""
        self.name, self.witnesses = f"witness{next(_numbers)}", []
        self.publish(definition(self.name))
        if not self.up:
            self.serve()

    def end(self) -> None:
        """Let the jobs of this journey end by themselves; AssertionError if the log says that
        something went wrong which no client was told of."""
        for one in self.witnesses:
            one.let_end()
        new, self._read = self.log[self._read :], len(self.log)
        assert "Traceback" not in new, f"a plugin has failed, by the server's log:\n{new[-_TAIL:]}"


@dataclass
class _Stages:
    """The stage that the journeys of a class share, while none fails and the recipe stays."""

    current: Stage | None = None

    def get(self, recipe: Recipe) -> Stage:
        if self.current is not None and self.current.place.recipe != recipe:
            self.close()
        if self.current is None:
            self.current = Stage.open(recipe)
        return self.current

    def close(self, *, keep: bool = False) -> None:
        stage, self.current = self.current, None
        if stage is not None:
            stage.close(keep=keep)


_STAGES: Final = pytest.StashKey[_Stages]()


def _stages(request: pytest.FixtureRequest) -> _Stages:
    node = request.node.getparent(pytest.Class)
    if _STAGES not in node.stash:
        node.stash[_STAGES] = _Stages()
        node.addfinalizer(node.stash[_STAGES].close)
    found: _Stages = node.stash[_STAGES]
    return found


class OnStage:
    """Fixtures of all journeys; an author overrides `recipe`."""

    @pytest.fixture
    def recipe(self) -> Recipe:
        """How the servers of these journeys are made; equal recipes share one."""
        pytest.fail(f"{type(self).__name__} needs a fixture `recipe` that answers a Recipe")

    @pytest.fixture
    def stage(self, recipe: Recipe, request: pytest.FixtureRequest) -> Iterator[Stage]:
        """A server that is up, with a job description of the journey's own. Behind a journey that
        failed it is another one."""
        stages = _stages(request)
        failed, well = request.session.testsfailed, False
        stage = stages.get(recipe)
        try:
            stage.begin()
            yield stage
            stage.end()
            well = stage.up and request.session.testsfailed == failed
        finally:
            if not well:
                print(f"the server is left in {stage.folder}; the end of its log:")
                print(stage.log[-_TAIL:])
                stages.close(keep=True)
