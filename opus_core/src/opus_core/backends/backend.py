"""What every back end is, whatever it does."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from opus_core.finding import Code, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """The options of a back end that has none."""


class Backend(ABC):
    """A storage, a manager or a job description format, chosen by `use = "NAME"`."""

    name: ClassVar[str]
    """What `use` selects it by: lower case letters, digits and `_`."""

    about: ClassVar[str]
    """One sentence for an admin who is choosing."""

    Options: ClassVar[type[Any]] = NoOptions
    """A frozen dataclass, filled from the rest of the table that `use` stands in. Fields are of
    type str, int, float, bool, Path, a Literal of strings, or tuples and string-keyed mappings of
    str; a field without default is required; a comment for the admin is
    `field(metadata={"help": ...})`. Paths are absolute before they get here: one the admin wrote is
    taken from the folder of the configuration file, a relative default from `data_dir`."""

    codes: ClassVar[tuple[Code, ...]] = ()
    """What `findings` can find, for the list of all that `opus check` can."""

    def __init__(self, options: Any) -> None:  # noqa: ANN401  an instance of its own Options
        self.options = options

    def check(self) -> None:  # noqa: B027  a back end may have nothing to check
        """Raise `ConfigError` with a sentence for the admin if this cannot work here.

        Called at start and by `opus check`; it may ask the outside world for some seconds.
        """

    def warnings(self) -> Sequence[str]:
        """Sentences for the admin about what works here and should not stay so.

        They are logged at start, and `opus check` prints them: after `check`, and of an extension
        after `open`, too, but where the storage to open it with cannot be used.
        """
        return ()

    def findings(self) -> Iterable[Finding]:
        """What is wrong with the world that this works in, each found by one of `codes`.

        Called by `opus check` alone, after `warnings`; it may ask the outside world for some
        seconds, and changes nothing. What it raises is told as a failure of this plugin.
        """
        return ()

    def close(self) -> None:  # noqa: B027  or nothing to close
        """Give back what was opened; safe twice. Nothing else is called afterwards."""
