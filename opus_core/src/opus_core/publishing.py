"""Job descriptions as their authors change them through the web: they are code that the site runs.

Publishers keep drafts, each their own, and ask for them to be looked at. Admins publish, or
publishers themselves where the site says so; then a name belongs to whoever published its last
version. Every act is audited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from opus_core import notation
from opus_core.access import Access
from opus_core.auth.audit import Audit
from opus_core.auth.policy import Policy
from opus_core.backends import Bundle, Record, Storage, User
from opus_core.definition import JobDefinition, check_name
from opus_core.definitions import Catalogue, Draft, Version
from opus_core.errors import NotAllowed, UnknownDefinition
from opus_core.job import DefinitionRef

_WISHES: Final = "validation"
"""The stream of the storage that knows which drafts somebody is to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A draft that its author wants to have published."""

    name: str
    author: str
    time: datetime


class Publishing:
    """What users may do to the catalogue."""

    def __init__(self, catalogue: Catalogue, policy: Policy, storage: Storage) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._storage = storage
        self._audit = Audit(storage)

    def script(self, user: User, name: str) -> str:
        """The script of the published version, for those who may edit it."""
        self._policy.may_describe(user)
        return self._catalogue.published(name).definition.script

    def draft(self, user: User, name: str, author: str | None = None) -> JobDefinition:
        """One's own draft; an admin may look at everybody's. Raises `NotFound`."""
        return self._catalogue.read_draft(name, self._author(user, author))

    def load(self, user: User, name: str, data: bytes, files: Mapping[str, bytes]) -> JobDefinition:
        """Read a document in any installed format; nothing is kept.

        The name is that of the address; what the document says of names or paths counts for
        nothing. Raises `JdlError`, `BadRequest`.
        """
        self._policy.may_describe(user)
        return self._catalogue.load(data, files, name=check_name(name))

    def loads(self, user: User, name: str, data: bytes) -> JobDefinition:
        """The same of one in JSON (`opus_core.notation`). Raises `BadInput`, too."""
        self._policy.may_describe(user)
        return notation.loads(data, name)

    def save(self, user: User, definition: JobDefinition) -> None:
        """Keep it as one's draft of that name."""
        self._catalogue.save_draft(definition, self._author(user, None))
        self._note(user, "draft saved", definition.name)

    def export(self, user: User, name: str, format_: str, *, lossy: bool) -> Bundle:
        """One's own draft in an installed format. Raises `NotFound`, `CannotCarry`."""
        draft = self.draft(user, name)
        return self._catalogue.format(format_).dumps(draft, lossy=lossy)

    def discard(self, user: User, name: str) -> None:
        """Remove one's own draft."""
        self._policy.may_describe(user)
        self._discard(name, self._author(user, None))
        self._note(user, "draft discarded", name)

    def drafts(self, user: User) -> list[Draft]:
        """One's own drafts, by name."""
        self._policy.may_describe(user)
        return [one for one in self._catalogue.drafts() if one.author == user.name]

    def wish(self, user: User, name: str) -> None:
        """Ask whoever may publish to look at one's draft. Raises `NotFound`."""
        author = self._author(user, None)
        self._catalogue.read_draft(name, author)
        self._wish(name, author, wanted=True)
        self._note(user, "validation wanted", name)

    def wishes(self, user: User) -> list[Wish]:
        """The drafts that somebody wants to have published, oldest first: for admins of all, else
        one's own."""
        self._policy.may_describe(user)
        every = [
            Wish(name=record.data["name"], author=record.data["author"], time=record.time)
            for record in self._records()
            if record.data["wanted"]
        ]
        return [one for one in every if self._policy.is_admin(user) or one.author == user.name]

    def versions(self, user: User, name: str) -> list[Version]:
        """All versions of a description. Raises `UnknownDefinition`."""
        self._policy.may_describe(user)
        return self._catalogue.versions(name)

    def version(self, user: User, name: str, number: int) -> JobDefinition:
        """One of them, with its script. Raises `UnknownDefinition`."""
        self._policy.may_describe(user)
        return self._catalogue.read(DefinitionRef(name, number))

    def publish(
        self, user: User, name: str, *, author: str | None = None, expected: int | None = None
    ) -> DefinitionRef:
        """Make a draft what new jobs are made from; the draft goes. See `Catalogue.publish`."""
        self._policy.may_publish(user)
        author = self._author(user, author)
        definition = self._catalogue.read_draft(name, author)
        seen = self._check_owner(user, name)
        if expected is None and not self._policy.is_admin(user):
            expected = seen  # or somebody else's might come in between
        ref = self._catalogue.publish(definition, user.name or "", expected=expected)
        self._note(user, "description published", name, f"{ref.number}, the draft of {author}")
        self._discard(name, author)
        return ref

    def withdraw(self, user: User, name: str) -> None:
        """Take no new jobs of that name."""
        self._policy.may_publish(user)
        self._check_owner(user, name)
        self._catalogue.withdraw(name)
        self._note(user, "description withdrawn", name)

    def access(self, user: User, name: str) -> Access:
        """Who may run it."""
        self._policy.may_describe(user)
        self._catalogue.is_withdrawn(name)  # or there is none
        return self._catalogue.access.of(name)

    def set_access(self, user: User, name: str, entries: Iterable[str]) -> Access:
        """Say who may run it; by admins."""
        self._policy.may_administer(user)
        access = self._catalogue.access.set(name, entries)
        self._note(user, "access changed", name, ", ".join(access.entries) or "nobody")
        return access

    def _discard(self, name: str, author: str) -> None:
        self._catalogue.discard_draft(name, author)
        self._wish(name, author, wanted=False)

    def _wish(self, name: str, author: str, *, wanted: bool) -> None:
        key = f"{name}/{author}"
        if wanted or any(record.key == key for record in self._records()):
            record = {"name": name, "author": author, "wanted": wanted}
            self._storage.append(_WISHES, record, key=key)

    def _records(self) -> Iterator[Record]:
        after = 0
        while page := self._storage.records(_WISHES, after):
            yield from page
            after = page[-1].seq

    def _author(self, user: User, author: str | None) -> str:
        self._policy.may_describe(user)
        if author not in (None, user.name) and not self._policy.is_admin(user):
            raise NotAllowed("drafts are their authors' own")
        return author or user.name or ""

    def _check_owner(self, user: User, name: str) -> int:
        """A publisher puts nothing in the place of what somebody else has published. Answers the
        number of the last version."""
        try:
            last = self._catalogue.versions(name)[-1]
        except UnknownDefinition:
            return 0
        if last.author != user.name and not self._policy.is_admin(user):
            raise NotAllowed(
                f"{name!r} was published by somebody else; an admin of this server may change it"
            )
        return last.ref.number

    def _note(self, user: User, act: str, name: str, more: str = "") -> None:
        self._audit.note(user.name, act, name, address=user.address, more=more)
