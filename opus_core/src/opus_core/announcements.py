"""What a site wants everybody to know who comes to its pages: one text, until it is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from opus_core.auth.audit import Audit
from opus_core.backends import Storage, User
from opus_core.errors import BadRequest

LONGEST: Final = 2000  # characters
_STREAM: Final = "announcements"
_KEY: Final = "current"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A text, and since when it is there."""

    text: str
    author: str
    since: datetime


class Announcements:
    """The one of a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def current(self) -> Announcement | None:
        """What is announced now."""
        for record in self._storage.records(_STREAM):
            if record.key == _KEY and record.data["text"]:
                return Announcement(
                    text=record.data["text"], author=record.data["author"], since=record.time
                )
        return None

    def announce(self, user: User, text: str) -> None:
        """Announce that in place of what was; an empty text takes it back."""
        text, author = text.replace("\r\n", "\n").strip(), user.name or ""
        if len(text) > LONGEST:
            raise BadRequest(f"an announcement has {LONGEST} characters at most, not {len(text)}")
        self._storage.append(_STREAM, {"text": text, "author": author}, key=_KEY)
        act = "announcement made" if text else "announcement withdrawn"
        Audit(self._storage).note(author, act, address=user.address)
