"""Job descriptions as their authors change them through the web: they are code that the site runs.

Publishers keep drafts, each their own. Admins publish, or publishers themselves where the site says
so; then a name belongs to whoever published its last version. Every act is audited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opus_core.access import Access
from opus_core.auth.audit import Audit
from opus_core.auth.policy import Policy
from opus_core.backends import User
from opus_core.definition import JobDefinition, check_name
from opus_core.definitions import Catalogue
from opus_core.errors import NotAllowed, UnknownDefinition
from opus_core.job import DefinitionRef


class Publishing:
    """What users may do to the catalogue."""

    def __init__(self, catalogue: Catalogue, policy: Policy, audit: Audit) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._audit = audit

    def script(self, user: User, name: str) -> str:
        """The script of the published version, for those who may edit it."""
        self._policy.may_describe(user)
        return self._catalogue.published(name).definition.script

    def draft(self, user: User, name: str, author: str | None = None) -> JobDefinition:
        """One's own draft; an admin may look at everybody's. Raises `NotFound`."""
        return self._catalogue.read_draft(name, self._author(user, author))

    def save(self, user: User, name: str, data: bytes, files: Mapping[str, bytes]) -> JobDefinition:
        """Read a document in any installed format and keep it as one's draft of that name.

        The name is that of the address; what the document says of names or paths counts for
        nothing. Raises `JdlError`, `BadRequest`.
        """
        self._policy.may_describe(user)
        definition = self._catalogue.load(data, files, name=check_name(name))
        self._catalogue.save_draft(definition, self._author(user, None))
        self._note(user, "draft saved", name)
        return definition

    def discard(self, user: User, name: str) -> None:
        """Remove one's own draft."""
        self._policy.may_describe(user)
        self._catalogue.discard_draft(name, self._author(user, None))
        self._note(user, "draft discarded", name)

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
        self._catalogue.discard_draft(name, author)
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
