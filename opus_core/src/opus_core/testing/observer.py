"""The contract of `opus_job_phase_changed` and `opus_observers`: what is to be told is told, and
nothing that may happen to a job is an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.errors import Unavailable
from opus_core.extensions import Extension, Site
from opus_core.job import Change, DefinitionRef, Phase, new_id, now
from opus_core.testing.backend import Instances, MakeContext
from opus_core.testing.extension_kit import (
    ExtensionKit,
    hooked,
)
from opus_core.testing.samples import DOOMED, a_job
from opus_core.testing.storage_kit import thorough
from opus_core.testing.strategies import text
from opus_core.testing.timing import eventually

Heard = Callable[[], Sequence[tuple[str, Phase | None]]]

LIFE = (
    (None, Phase.PENDING),
    (Phase.PENDING, Phase.QUEUED),
    (Phase.QUEUED, Phase.EXECUTING),
    (Phase.EXECUTING, Phase.COMPLETED),
    (Phase.COMPLETED, None),
)
"""(old, new): of a creation `old` is None, of a deletion `new`."""


class ObserverContract(ExtensionKit):
    """Inherit it, say how an instance is made, and by `heard` how one sees what it has told.

        class TestMyBell(ObserverContract):
            @pytest.fixture
            def make(self, tmp_path):
                return lambda: MyBell(MyBell.Options(file=tmp_path / "rung"))

            @pytest.fixture
            def heard(self, tmp_path):
                return lambda: [(job_id, new), ...]

    One that tells of some changes alone says so by overriding `tells`. What the kit cannot bring
    about by itself is said by fixtures, and skipped without them:

    - `unavailable`: a callable that makes a context in which it cannot tell anybody.
    - `unfit`: a callable that makes an instance which cannot work here.
    """

    @pytest.fixture
    def heard(self) -> Heard:
        """Override with a function that answers all that has been told by now, oldest first:
        (job id, new phase) of each change; None is a deletion."""
        pytest.fail(
            f"{type(self).__name__} needs a fixture: `@pytest.fixture def heard(self): return"
            " lambda: [(job_id, new), ...]`"
        )

    def tells(self, change: Change) -> bool:
        """Whether this change is one to be told; override it for one that tells of some alone."""
        return True

    def all_told(self, heard: Heard, life: Sequence[Change]) -> None:
        """Wait until what is to be told of this job has been, in its order; twice is no fault."""
        wanted = [(one.job_id, one.new) for one in life if self.tells(one)]

        def told() -> bool:
            seen = [one for one in dict.fromkeys(heard()) if one[0] == life[0].job_id]
            return seen == wanted

        eventually(told, f"heard() is {wanted}, for this job and in this order")

    def test_it_has_observers_of_the_same_names_in_every_process(
        self, extension: Extension, instances: Instances[Extension]
    ) -> None:
        names = list(hooked(extension).observers())
        assert names, "nobody wants to hear of changes"
        assert all(isinstance(name, str) for name in names)
        assert list(hooked(instances.open()).observers()) == names
        assert list(hooked(instances.restart(extension)).observers()) == names

    def test_a_whole_life_is_told_in_order(
        self, extension: Extension, site: Site, heard: Heard
    ) -> None:
        changes = a_life(site)
        for change in changes:
            tell(extension, change)
        self.all_told(heard, changes)

    def test_lives_of_several_jobs_are_told_apart(
        self, extension: Extension, site: Site, heard: Heard
    ) -> None:
        lives = [a_life(site) for _ in range(3)]
        for together in zip(*lives, strict=True):
            for change in together:
                tell(extension, change)
        for life in lives:
            self.all_told(heard, life)

    def test_a_change_that_comes_again_is_no_error(
        self, extension: Extension, site: Site, heard: Heard
    ) -> None:
        changes = a_life(site)
        for change in changes:
            tell(extension, change)
            tell(extension, change)
        self.all_told(heard, changes)

    def test_a_job_that_is_gone_by_now_is_no_error(self, extension: Extension, site: Site) -> None:
        for change in a_life(site, keep=False):
            tell(extension, change)

    def test_another_instance_goes_on(
        self,
        extension: Extension,
        instances: Instances[Extension],
        site: Site,
        heard: Heard,
    ) -> None:
        changes = a_life(site)
        for change in changes[:2]:
            tell(extension, change)
        another = instances.restart(extension)
        for change in changes[2:]:
            tell(another, change)
        self.all_told(heard, changes)

    @thorough
    @given(data=st.data())
    def test_nothing_that_may_happen_to_a_job_is_an_error(
        self, extension: Extension, data: st.DataObject
    ) -> None:
        phases = st.none() | st.sampled_from(Phase)
        old = data.draw(phases)
        tell(
            extension,
            Change(
                seq=data.draw(st.integers(1, 2**60)),
                job_id=new_id(),
                definition=DefinitionRef(data.draw(st.sampled_from(["a", "a.b-c_d", "x" * 64])), 7),
                owner=data.draw(st.none() | text()),
                run_id=data.draw(st.none() | text(largest=300)),
                old=old,
                new=data.draw(phases.filter(lambda new: new is not old)),
                time=now(),
            ),
        )

    def test_what_cannot_be_told_is_unavailable_and_told_later(
        self, extension: Extension, site: Site, heard: Heard, unavailable: MakeContext | None
    ) -> None:
        if unavailable is None:
            pytest.skip("it can always tell: supply the fixture `unavailable`")
        changes = [one for one in a_life(site) if self.tells(one)]
        with unavailable():
            for change in changes[:1]:
                with pytest.raises(Unavailable) as refusal:
                    tell(extension, change)
                assert refusal.value.sentence.strip(), "the error says nothing"
        for change in changes:
            tell(extension, change)
        self.all_told(heard, changes)


def a_life(site: Site, *, keep: bool = True) -> list[Change]:
    """The changes of one job, from its creation to its deletion; the site has it, doomed, if it is
    to be kept."""
    job = a_job(run_id="a night", phase=Phase.COMPLETED, marks=DOOMED)
    if keep:
        job = site.storage.add(job)
    return [
        Change(
            seq=number,
            job_id=job.id,
            definition=job.definition,
            owner=job.owner,
            run_id=job.run_id,
            old=old,
            new=new,
            time=now(),
        )
        for number, (old, new) in enumerate(LIFE, 1)
    ]


def tell(extension: Extension, change: Change) -> None:
    """Tell every observer that it has, as the supervisor does."""
    for observer in hooked(extension).observers().values():
        observer(change)
