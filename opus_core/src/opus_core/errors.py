"""Everything that can go wrong, each error knowing how a client hears of it.

    OpusError                     500 fatal
      BadRequest                  400 fatal      malformed, whatever the state
        BadInput                                 values that a job cannot take, by name
        JdlError                                 a job description that cannot be read
          CannotCarry                            ... or that a format has no words for
      NotAuthenticated            401 fatal
      NotAllowed                  403 fatal      well-formed, but not for you or not now
      NotFound                    404 fatal
        UnknownJob
        UnknownDefinition
        UnknownUser
        UnknownToken
        UnknownSession
      Conflict                    409 transient  somebody else was faster
        JobExists
        AlreadyExists
        AlreadyAdded                             the same Idempotency-Key was here before
      TooLarge                    413 fatal
      LimitReached                429 transient
      Unavailable                 503 transient  try again later, nothing is wrong with you
        BackendUnavailable                       a scheduler could not be asked
        StorageFull
      ResultsLost                 -              what a job has left can never be fetched
      SubmitRejected              -              a scheduler will never run this
      SubmitDeferred              -              a scheduler will not take this now
      Gap                         -              the journal no longer reaches back so far
      ConfigError                 -              a mistake of the admin, found at start
        PluginError                              a plugin that cannot be used

Raise with one sentence that names the thing and the way out. Handlers do not catch: one place
(`opus_core.routes`) turns an `OpusError` into a response. The status codes are those of UWS 1.1
section 2.2 (404, 403, 500) and of HTTP where UWS is silent; `transient` and `fatal` are the two
error types of UWS 1.1 section 2.2.2.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class OpusError(Exception):
    """Something OPUS can name; `sentence` is meant for whoever asked."""

    status: ClassVar[int] = 500
    transient: ClassVar[bool] = False

    def __init__(self, sentence: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.retry_after = retry_after
        """Seconds after which trying again makes sense; None where nothing is known."""


class BadRequest(OpusError):
    """The request is malformed; repeating it cannot help."""

    status = 400


class BadInput(BadRequest):
    """A job cannot take these values: `faults` has a sentence for each input, by its name."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        first, *others = faults
        also = f"; also wrong: {', '.join(others)}" if others else ""
        super().__init__(f"{faults[first]}{also}")
        self.faults = dict(faults)


class JdlError(BadRequest):
    """A job description cannot be read; `line` (from 1) says where, 0 if it is nowhere."""

    def __init__(self, sentence: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {sentence}" if line else sentence)
        self.line = line


class CannotCarry(JdlError):
    """A format has no words for some fields of a description."""

    def __init__(self, format_name: str, fields: Iterable[str]) -> None:
        self.fields = tuple(fields)
        super().__init__(f"{format_name} cannot carry {', '.join(self.fields)}")


class NotAuthenticated(OpusError):
    """Nobody, or nobody known, is asking, and somebody known must."""

    status = 401


class NotAllowed(OpusError):
    """The request is sound, but not for this user or not in this state."""

    status = 403


class NotFound(OpusError):
    """There is no such thing."""

    status = 404


class UnknownJob(NotFound):
    """There is no such job, or it has been deleted."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r}; it may have been deleted or destroyed")
        self.job_id = job_id


class UnknownDefinition(NotFound):
    """No job description of that name is published."""


class UnknownUser(NotFound):
    """There is no account of that name."""


class UnknownToken(NotFound):
    """No token begins with that prefix."""


class UnknownSession(NotFound):
    """There is no such browser session; it may have ended."""


class Conflict(OpusError):
    """What was read has been changed by somebody else since; read it again."""

    status = 409
    transient = True


class JobExists(Conflict):
    """A job of that id is stored already."""


class AlreadyExists(Conflict):
    """An account, token or session of that name is stored already."""


class AlreadyAdded(Conflict):
    """A job with this Idempotency-Key was added in the last 24 hours.

    `job_id` is that job's; `same_body` tells a repeated request (answer as the first time) from
    another one under the same key (409).
    """

    def __init__(self, job_id: str, *, same_body: bool) -> None:
        super().__init__(
            f"this Idempotency-Key made job {job_id} already; use another key for another request"
        )
        self.job_id = job_id
        self.same_body = same_body


class TooLarge(OpusError):
    """A body, a part of it or a file is larger than this server takes."""

    status = 413


class LimitReached(OpusError):
    """A quota is used up: jobs at once, jobs an hour, or bytes."""

    status = 429
    transient = True


class Unavailable(OpusError):
    """Something this server needs does not answer now."""

    status = 503
    transient = True


class BackendUnavailable(Unavailable):
    """A scheduler could not be asked, so nothing is known and nothing may be concluded.

    Where a part of a question was answered all the same, `answers` has that part.
    """

    def __init__(self, sentence: str = "", *, answers: Mapping[Any, Any] | None = None) -> None:
        super().__init__(sentence)
        self.answers = answers


class StorageFull(Unavailable):
    """No space is left for what has to be written."""


class ResultsLost(OpusError):
    """What a job has left cannot be fetched, and trying again cannot help."""


class SubmitRejected(OpusError):
    """A scheduler will never run this job; the sentence is its reason in plain words."""


class SubmitDeferred(OpusError):
    """A job was definitely not submitted, and trying later may work (queue full, quota)."""

    transient = True


class Gap(OpusError):
    """The journal no longer reaches back to the number asked for; begin again from `newest`."""

    def __init__(self, newest: int) -> None:
        super().__init__(f"the journal no longer reaches back so far; begin again from {newest}")
        self.newest = newest


class ConfigError(OpusError):
    """A mistake in the configuration: file, table, key and the way out in one sentence."""


class PluginError(ConfigError):
    """A plugin that was asked for is missing, broken or the wrong kind."""
