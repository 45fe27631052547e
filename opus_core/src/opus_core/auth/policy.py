"""What a user may do: one's own jobs, and nobody else's, unless one is an admin.

A role gives rights, and a token may have been given less of them: both have to allow it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from opus_core.access import Access
from opus_core.auth.tokens import ADMIN, PUBLISH, READ, RUN, SCOPES
from opus_core.backends import JobQuery, User
from opus_core.errors import NotAllowed, NotAuthenticated, Unavailable
from opus_core.facts import about
from opus_core.job import ANYONE, Job, JobSummary

log = logging.getLogger(__name__)


def _everybody(name: str) -> Access:
    return Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the `[auth]` table lets people do. Denied by default."""

    anonymous: bool = False  # somebody unknown may create jobs and use those that have no owner
    anonymous_list: bool = False  # ... and have them listed, which tells everybody their ids
    publishers_publish: bool = False  # without an admin
    access: Callable[[str], Access] = _everybody  # to each description

    # -- jobs

    def may_enter(self, user: User) -> None:
        """Raise `NotAuthenticated` for somebody unknown where that is not welcome."""
        if user.anonymous and not self.anonymous:
            raise NotAuthenticated("this server takes jobs from known users only; sign in")

    def may_run(self, user: User, name: str) -> None:
        """Raise unless the user may have jobs of this description run."""
        self.may_enter(user)
        _check_scope(user, RUN)
        if self.offers(user, name):
            return
        if user.anonymous:
            raise NotAuthenticated(f"{name!r} is not for everybody; sign in")
        raise NotAllowed(f"{name!r} is not for you to run; ask whoever runs this server")

    def offers(self, user: User, name: str) -> bool:
        """Whether the description is one for this user."""
        return self.is_admin(user) or self.access(name).admits(user)

    def shows(self, user: User, name: str) -> bool:
        """Whether a list of descriptions has this one for the user: one whose list cannot be read
        is left out, and logged."""
        try:
            return self.offers(user, name)
        except Unavailable as error:
            log.error("left out of the list: %s", error.sentence, extra=about(definition=name))
            return False

    def may_see(self, user: User, job: Job | JobSummary) -> None:
        """Raise unless the job is the user's own (UWS 1.1 section 3: 403).

        A job without owner is everybody's who knows its id, which cannot be guessed.
        """
        self.may_enter(user)
        _check_scope(user, READ)
        if job.owner not in (None, user.name) and not self.is_admin(user):
            raise NotAllowed(f"job {job.id} belongs to another user")

    def may_change(self, user: User, job: Job | JobSummary) -> None:
        """As `may_see`, with a token that may do more than look."""
        self.may_see(user, job)
        _check_scope(user, RUN)

    def visible(self, user: User, query: JobQuery) -> JobQuery | None:
        """The query for the jobs of it that the user may see; None if there are none. An admin
        sees those of all, unless one owner is asked for."""
        self.may_enter(user)
        _check_scope(user, READ)
        if self.is_admin(user):
            return query
        if user.anonymous and not self.anonymous_list:
            return None
        if query.owner is not ANYONE and query.owner != user.name:
            return None
        return replace(query, owner=user.name)

    def for_another(self, user: User, job: Job | JobSummary) -> bool:
        """Whether who may use this job does so as an admin, which is audited."""
        return job.owner not in (None, user.name)

    def may_use(self, user: User, *, changes: bool) -> None:
        """Raise unless the token of the user, if it is one, was made to see, or to change."""
        _check_scope(user, RUN if changes else READ)

    # -- all else

    def is_admin(self, user: User) -> bool:
        """Whether the user acts as an admin."""
        return "admin" in user.roles and _has_scope(user, ADMIN)

    def may_administer(self, user: User) -> None:
        """Raise unless the user acts as an admin."""
        self._known(user)
        if "admin" not in user.roles:
            raise NotAllowed("this is for admins of this server")
        _check_scope(user, ADMIN)

    def may_describe(self, user: User) -> None:
        """Raise unless the user may work on job descriptions, and so see scripts."""
        self._known(user)
        if user.roles.isdisjoint({"admin", "publisher"}):
            raise NotAllowed("job descriptions are worked on by publishers and admins")
        _check_scope(user, PUBLISH)

    def describes(self, user: User) -> bool:
        """Whether the user may work on job descriptions."""
        return _is_let(self.may_describe, user)

    def publishes(self, user: User) -> bool:
        """Whether the user may make a description what new jobs run."""
        return _is_let(self.may_publish, user)

    def may_publish(self, user: User) -> None:
        """Raise unless the user may make a description what new jobs run: it is code."""
        self.may_describe(user)
        if not self.is_admin(user) and not self.publishers_publish:
            raise NotAllowed("your draft is kept; an admin of this server has to publish it")

    def _known(self, user: User) -> None:
        if user.anonymous:
            raise NotAuthenticated("sign in first")


def _is_let(check: Callable[[User], None], user: User) -> bool:
    try:
        check(user)
    except (NotAllowed, NotAuthenticated):
        return False
    return True


def _has_scope(user: User, scope: str) -> bool:
    scopes = user.scopes
    return scopes is None or scope in scopes or (scope == READ and RUN in scopes)


def _check_scope(user: User, scope: str) -> None:
    if not _has_scope(user, scope):
        raise NotAllowed(f"this token was not made to {SCOPES[scope]}; make one that is")
