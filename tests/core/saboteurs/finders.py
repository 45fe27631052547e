"""What breaks the promises about findings, of whatever kind the back end is."""

from __future__ import annotations

from core.saboteurs.registry import breaks
from opus_core.finding import Code, State


def finders(saboteur, contract, module):
    """One for each of these promises, as classes of that module."""

    def code(name):
        return Code(name, State.WARNING, "It is so.", "Wait.")

    @breaks(contract, "test_its_codes_begin_with_its_name", says="may be another plugin's")
    class TakesAnothersCode(saboteur):
        __module__ = module
        codes = (code("another-odd"),)

    @breaks(
        contract,
        "test_what_it_finds_is_of_its_codes_in_one_line_each",
        says="`codes` does not list",
    )
    class FindsWhatIsNotListed(saboteur):
        __module__ = module

        def findings(self):
            yield code(f"{self.name}-odd")("it", "it is odd; wait")

    @breaks(
        contract, "test_what_it_finds_is_of_its_codes_in_one_line_each", says="not one printable"
    )
    class FindsAtLength(saboteur):
        __module__ = module
        codes = (code(f"{saboteur.name}-odd"),)

        def findings(self):
            yield self.codes[0]("it", "it is odd\nwait")

    @breaks(contract, "test_to_ask_what_it_finds_changes_nothing", says="asked twice")
    class FindsMoreEachTime(saboteur):
        __module__ = module
        codes = (code(f"{saboteur.name}-odd"),)
        times = 0

        def findings(self):
            self.times += 1
            return [self.codes[0]("it", "it is odd; wait")] * self.times

    return TakesAnothersCode, FindsWhatIsNotListed, FindsAtLength, FindsMoreEachTime
