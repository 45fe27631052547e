"""Who may run a job description: a list beside its versions, which the site may change at any time.

`definitions/NAME/access` has one entry a line: `anyone`, `role ROLE` or `user NAME`. Without the
file the description is for all who may run jobs at all; with an empty one, for admins alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opus_core import disk
from opus_core.backends import User
from opus_core.below import Below
from opus_core.definition import DEFINITION_NAME
from opus_core.errors import BadRequest, Unavailable, UnknownDefinition

ANYONE: Final = "anyone"

_FILE: Final = "access"
_ENTRY: Final = re.compile(r"anyone|(?:role|user) [^\s](?:[^\n\r]{0,198}[^\s])?")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may run a description."""

    entries: tuple[str, ...] = (ANYONE,)

    def __post_init__(self) -> None:
        for entry in self.entries:
            if not _ENTRY.fullmatch(entry):
                raise BadRequest(
                    f"{entry[:60]!r} names nobody; write `anyone`, `role ROLE` or `user NAME`"
                )

    def admits(self, user: User) -> bool:
        """Whether the user is among them."""
        own = {ANYONE, *(f"role {role}" for role in user.roles)}
        if user.name is not None:
            own.add(f"user {user.name}")
        return not own.isdisjoint(self.entries)


class AccessLists:
    """Those of all descriptions under one folder, that of `opus_core.definitions`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, tuple[disk.Fingerprint, Access]] = {}

    def of(self, name: str) -> Access:
        """Who may run it. A list that cannot be read admits nobody: `Unavailable`."""
        if not DEFINITION_NAME.fullmatch(name):
            return Access()
        print_ = self._print(name)
        if print_ is None:
            return Access()
        kept = self._kept.get(name)
        if kept is not None and kept[0] == print_:
            return kept[1]
        try:
            with Below.open(self._folder) as top, top.folder(name) as folder:
                text = folder.read(_FILE).decode()
            access = Access(tuple(line.strip() for line in text.splitlines() if line.strip()))
        except (OSError, UnicodeDecodeError, BadRequest) as error:
            if self._print(name) is None:
                return Access()  # it was removed just now
            raise Unavailable(
                f"who may run {name!r} cannot be read; see definitions/{name}/{_FILE}"
            ) from error
        self._kept[name] = print_, access
        return access

    def set(self, name: str, entries: Iterable[str]) -> Access:
        """Let only these run it. Raises `BadRequest` for an entry that is none,
        `UnknownDefinition` if nothing of that name was ever published."""
        access = Access(tuple(dict.fromkeys(entries)))
        text = "".join(f"{entry}\n" for entry in access.entries)
        try:
            if not DEFINITION_NAME.fullmatch(name):
                raise FileNotFoundError(name)
            with Below.open(self._folder) as top, top.folder(name) as folder:
                folder.replace(_FILE, text.encode())
        except FileNotFoundError as error:
            raise UnknownDefinition(f"no job {name[:200]!r} is published here") from error
        return access

    def _print(self, name: str) -> disk.Fingerprint | None:
        """The file's; None without one."""
        try:
            # For every new job: a Path would take longer than the look.
            return disk.fingerprint(os.lstat(f"{self._folder}/{name}/{_FILE}"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"who may run {name!r} cannot be read: {error.strerror}") from error
