"""What a user may do: one's own jobs, and nobody else's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from opus_core.backends import JobQuery, User
from opus_core.errors import NotAllowed, NotAuthenticated
from opus_core.job import ANYONE, Job, JobSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the `[auth]` table lets people do. Denied by default."""

    anonymous: bool = False  # somebody unknown may create jobs and use those that have no owner
    anonymous_list: bool = False  # ... and have them listed, which tells everybody their ids

    def may_create(self, user: User) -> None:
        """Raise `NotAuthenticated` for somebody unknown where that is not welcome."""
        if user.anonymous and not self.anonymous:
            raise NotAuthenticated("this server takes jobs from known users only; sign in")

    def may_use(self, user: User, job: Job | JobSummary) -> None:
        """Raise unless the job is the user's own (UWS 1.1 section 3: 403).

        A job without owner is everybody's who knows its id, which cannot be guessed.
        """
        self.may_create(user)
        if job.owner is not None and job.owner != user.name:
            raise NotAllowed(f"job {job.id} belongs to another user")

    def visible(self, user: User, query: JobQuery) -> JobQuery | None:
        """The query for the jobs of it that the user may see; None if there are none."""
        self.may_create(user)
        if user.anonymous and not self.anonymous_list:
            return None
        if query.owner is not ANYONE and query.owner != user.name:
            return None
        return replace(query, owner=user.name)
