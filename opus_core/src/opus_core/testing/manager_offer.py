"""Promises of `Manager` about what it offers before there is a job, and what it is asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from opus_core.backends import Kind, Manager
from opus_core.definition import JobDefinition, ParameterDescription, check_definition
from opus_core.errors import BadRequest, NotAllowed
from opus_core.testing.manager_kit import NEVER, Desk, ManagerKit, until
from opus_core.testing.offline import offline


class OfferPromises(ManagerKit):
    """What a manager says of itself can be relied on, and costs nothing to ask."""

    def test_it_says_how_many_calls_it_bears_and_how_often_to_ask(self, manager: Manager) -> None:
        parallel = manager.parallel
        assert type(parallel) is int, f"parallel counts calls; {parallel!r} is no whole number"
        assert parallel >= 1, f"parallel = {parallel}: not even one call is borne"
        for name, least in (("visible_after", 0.0), ("poll_interval", 0.001)):
            seconds = getattr(manager, name)
            number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            assert number, f"{name} is a number of seconds, not {seconds!r}"
            assert math.isfinite(seconds), f"{name} = {seconds} comes to no end"
            assert seconds >= least, f"{name} = {seconds} s is less than {least} s"

    # -- run options

    def test_run_options_are_parameter_descriptions(self, manager: Manager) -> None:
        options = type(manager).run_options(manager.options)
        assert isinstance(options, tuple), "run_options answers a tuple"
        assert all(isinstance(option, ParameterDescription) for option in options)
        names = [option.name.casefold() for option in options]
        assert len(set(names)) == len(names), "one name twice"

    def test_run_options_may_stand_in_a_form(self, manager: Manager) -> None:
        options = type(manager).run_options(manager.options)
        try:
            check_definition(JobDefinition(name="kit", parameters=options))
        except BadRequest as error:
            pytest.fail(f"a run option is no legal parameter: {error.sentence}")
        for option in options:
            values = [one.value for one in option.options]
            default = option.default
            assert not values or default is None or default in values, (
                f"the default of {option.name} is none of its options: {default!r}"
            )

    def test_run_options_ask_nobody(self, manager: Manager) -> None:
        kind = type(manager)
        with offline("run_options does no I/O, since forms are made from it"):
            options = kind.run_options(manager.options)
        assert kind.run_options(manager.options) == options, "asked again it offers others"

    # -- scripts ahead of time

    def test_a_script_may_be_sent_ahead_of_time(self, manager: Manager) -> None:
        manager.cp_script(JobDefinition(name="kit", script="true"))

    def test_a_script_sent_ahead_of_time_harms_no_job(self, manager: Manager, desk: Desk) -> None:
        task = desk.task("echo result > $out")
        other = "echo another > $out"
        for script in (other, task.definition.script, other):
            manager.cp_script(replace(task.definition, script=script))
        manager.cp_script(JobDefinition(name="kit", script=""))
        manager.start(task)
        until(manager, task.ref, Kind.ENDED)
        manager.get_results(task)
        result = task.folder / "results" / "out"
        assert result.exists(), "a job whose script was sent ahead of time has not run"
        assert result.read_text() == "result\n", "a job has run a script that was sent before"

    # -- resume

    def test_resume_is_refused_where_it_is_not_known(self, manager: Manager) -> None:
        if manager.can_resume:
            pytest.skip(f"the {manager.name} manager can resume: `can_resume = True`")
        with pytest.raises(NotAllowed):
            manager.resume(NEVER)

    def test_who_can_resume_knows_how(self, manager: Manager) -> None:
        if not manager.can_resume:
            pytest.skip(f"the {manager.name} manager cannot resume: `can_resume = False`")
        assert type(manager).resume is not Manager.resume, (
            "it says `can_resume = True`, and has no `resume` of its own"
        )
