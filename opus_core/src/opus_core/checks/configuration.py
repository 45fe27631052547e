"""`opus.toml`: its mistakes, and who else may write it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from opus_core.checks.installation import Installation, read_by
from opus_core.config import load_what_is_right
from opus_core.errors import ConfigError
from opus_core.finding import Code, Finding, State, ok

SUBJECT: Final = "configuration"

MISTAKE: Final = Code(
    "configuration-mistake",
    State.ERROR,
    "`opus.toml` cannot be read, or a table of it has a mistake: no server starts.",
    "Mend what the sentence names; `docs/configuration.md` has all keys.",
)
OPEN: Final = Code(
    "configuration-writable-by-all",
    State.ERROR,
    "Every user of the machine may change `opus.toml`, and so what the server runs.",
    "`chmod o-w` it.",
)
SECRET_OPEN: Final = Code(
    "secret-file-readable-by-all",
    State.ERROR,
    "A file with a password or key that a setting ending in `_file` names may be read by every user"
    " of the machine.",
    "`chmod o=` it, and change what is in it if somebody may have read it.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """Every table that has a mistake; what they say is taken for absent from here on."""
    try:
        config, mistakes = load_what_is_right(installation.named)
    except ConfigError as error:
        yield MISTAKE(SUBJECT, error.sentence)
        return
    installation.config = config
    installation.mistaken = frozenset(mistakes)
    for sentence in mistakes.values():
        yield MISTAKE(SUBJECT, sentence)
    if not mistakes:
        yield ok(SUBJECT, str(config.path or "none: all is by default"))
    if config.path is not None and _mode(config.path) & stat.S_IWOTH:
        yield OPEN(
            SUBJECT,
            f"every user of this machine may change {config.path}: chmod o-w {config.path}",
        )


def secrets(installation: Installation) -> Iterator[Finding]:
    """The files that back ends and extensions read their passwords from."""
    parts = (installation.storage, installation.manager, installation.jdl)
    for part in (*(one for one in parts if one is not None), *installation.extensions):
        for key, path in read_by(part).items():
            if _mode(path) & (stat.S_IROTH | stat.S_IWOTH):
                yield SECRET_OPEN(
                    f"{part.name} {key}",
                    f"every user of this machine may read or change {path}: chmod o= {path}, and"
                    " change the secret if somebody may have read it",
                )


def _mode(path: Path) -> int:
    """0 for what is not there, or cannot be looked at; whoever has to read it says so."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0
