"""Managers with one promise broken each, about what they offer."""

from __future__ import annotations

import math
from pathlib import Path

from core.saboteurs import managers
from core.saboteurs.managers import Saboteur
from core.saboteurs.registry import breaks
from opus_core.backends import Manager
from opus_core.definition import Option, ParameterDescription
from opus_core.testing.manager_offer import OfferPromises

fixtures = managers.fixtures
MEASURES = "test_it_says_how_many_calls_it_bears_and_how_often_to_ask"
IN_A_FORM = "test_run_options_may_stand_in_a_form"


@breaks(OfferPromises, MEASURES, says="not even one call is borne")
class BearsNothing(Saboteur):
    parallel = 0


@breaks(OfferPromises, MEASURES, says="no whole number")
class BearsAHalf(Saboteur):
    parallel = 1.5


@breaks(OfferPromises, MEASURES, says="visible_after = inf comes to no end")
class NeverVisible(Saboteur):
    visible_after = math.inf


@breaks(OfferPromises, MEASURES, says="poll_interval is a number of seconds, not '30 s'")
class IntervalInWords(Saboteur):
    poll_interval = "30 s"


@breaks(OfferPromises, MEASURES, says="poll_interval = 0 s is less than")
class AsksWithoutPause(Saboteur):
    poll_interval = 0


@breaks(OfferPromises, IN_A_FORM, says="no legal parameter: .*'memory per core' cannot be the name")
class OptionsWithBlanks(Saboteur):
    @classmethod
    def run_options(cls, options):
        return (ParameterDescription(name="memory per core"),)


@breaks(OfferPromises, IN_A_FORM, says="the default of queue is none of its options: 'fast'")
class DefaultsToWhatIsNotOffered(Saboteur):
    @classmethod
    def run_options(cls, options):
        offered = (Option(value="main"),)
        return (ParameterDescription(name="queue", default="fast", options=offered),)


@breaks(OfferPromises, "test_run_options_ask_nobody", says="no I/O, .* has called .*meminfo")
class LooksAtTheMemory(Saboteur):
    @classmethod
    def run_options(cls, options):
        total = Path("/proc/meminfo").read_text().split()[1]
        return (ParameterDescription(name="memory", maximum=total),)


@breaks(
    OfferPromises,
    "test_a_script_sent_ahead_of_time_harms_no_job",
    says="run a script that was sent before",
)
class RunsWhatWasSentBefore(Saboteur):
    sent = ""

    def cp_script(self, definition):
        self.sent = self.sent or definition.script

    def start(self, task):
        if self.sent and self.sent != "true":
            (task.folder / "script").write_text(self.sent)
        return super().start(task)


@breaks(OfferPromises, "test_who_can_resume_knows_how", says="has no `resume` of its own")
class ClaimsToResume(Saboteur):
    can_resume = True
    resume = Manager.resume


@breaks(
    OfferPromises,
    "test_run_options_are_parameter_descriptions",
    "test_run_options_may_stand_in_a_form",
)
class OptionsByName(Saboteur):
    @classmethod
    def run_options(cls, options):
        return ("memory",)


@breaks(
    OfferPromises,
    "test_a_script_may_be_sent_ahead_of_time",
    "test_a_script_sent_ahead_of_time_harms_no_job",
)
class NothingAhead(Saboteur):
    def cp_script(self, definition):
        raise NotImplementedError


@breaks(OfferPromises, "test_resume_is_refused_where_it_is_not_known")
class ResumesInSilence(Saboteur):
    can_resume = False

    def resume(self, ref):
        """Nothing is known about resuming."""
