"""What `opus check` says of an installation, and the names of what it can find."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works, and should not stay so
    ERROR = "error"  # something does not work, or is open to those whom it does not concern


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is, and a sentence with what is wrong and the way out.

    `code` is that of a `Code`, or `ok`.
    """

    code: str
    state: State
    subject: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Code:
    """One thing that can be wrong, under a name that scripts and pages know it by."""

    name: str
    """Lower case words with dashes. It never changes its meaning; of a plugin's, the first word is
    the plugin's name."""

    state: State
    """Of each finding of it."""

    cause: str
    """What is wrong, as the list of all codes says it."""

    way_out: str
    """What an admin does about it."""

    def __call__(self, subject: str, sentence: str) -> Finding:
        """It has been found."""
        return Finding(self.name, self.state, subject, sentence)


def ok(subject: str, sentence: str) -> Finding:
    """This was looked at, and is as it should be."""
    return Finding("ok", State.OK, subject, sentence)
