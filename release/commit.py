"""The commit that a release is made of: whoever has it can make the same files again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from release.parts import Refused, git, version

_SHOWN: Final = 3  # files that a refusal names


@dataclass(frozen=True)
class Commit:
    name: str | None  # None: these sources are no commit, and what is made of them no release
    date: str | None  # [s since 1970] of all that is in the archives; None: as the builder has it


def commit(*, dirty: bool = False) -> Commit:
    """The commit that lies here. `dirty`: also with changes that are in none.

    Raises `Refused` for such changes, and if the tag of this version is at another commit: two
    contents of one number cannot be told apart once they are installed.
    """
    head = git("rev-parse", "HEAD")
    if head is None:
        return Commit(None, os.environ.get("SOURCE_DATE_EPOCH"))
    date = git("log", "-1", "--format=%ct")
    status = git("status", "--porcelain", "--untracked-files=all")
    if status is None:
        raise Refused("git cannot tell what has changed here; see what `git status` says")
    if changed := status.splitlines():
        if dirty:
            return Commit(None, date)
        raise Refused(_changes([line[3:] for line in changed]))
    tag = f"v{version()}"
    if not dirty and (git("rev-parse", "--quiet", "--verify", f"{tag}^{{commit}}") or head) != head:
        raise Refused(
            f"{tag} is the tag of another commit, and {version()} was made of that one; raise the"
            " version first: make version VERSION=..."
        )
    return Commit(head, date)


def _changes(files: list[str]) -> str:
    more = len(files) - _SHOWN
    named = ", ".join(files[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (
        f"what lies here is no commit, for {named} changed or is new; commit or stash that, or type"
        " make release DIRTY=1 for wheels to try and not to publish"
    )
