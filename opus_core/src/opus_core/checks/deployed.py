"""The files by which it is run for good: for Apache, nginx and systemd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from opus_core.checks.installation import Installation
from opus_core.deployment.faults import faults
from opus_core.finding import Code, Finding, State

FAULTY: Final = Code(
    "deployment-file",
    State.WARNING,
    "A file for Apache, nginx or systemd does not fit this installation, or what OPUS needs; or"
    " `opus.toml` does not fit a file that is in use.",
    "The sentence names the file and what to write there; see [Deployment](deployment.md).",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """Of those in use; while none is, of those that `opus init` wrote."""
    if installation.config is not None:
        for sentence in faults(installation.config):
            yield FAULTY("deployment", sentence)
