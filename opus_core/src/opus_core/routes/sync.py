"""A job whose answer is its result: made, run and waited for in one request (DALI 1.1 section 2).

It is an ordinary job: it is in the list, and a client that hangs up leaves it running.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import bottle

from opus_core import job as jobs
from opus_core.errors import OpusError
from opus_core.job import Job, Phase
from opus_core.routes import output, uws
from opus_core.routes.asking import Asked, check_meant
from opus_core.routes.creation import admitted, make
from opus_core.routes.reply import TEXT, refusal, reply, see_other

_RUN = ("PHASE", "RUN")


class JobFailed(OpusError):
    """The request was sound, and the job it made came to nothing."""

    status = 422


def get_sync(asked: Asked, name: str) -> bottle.HTTPResponse:
    """The values are in the query. HEAD only tells whether a job would be taken."""
    # Other GETs change nothing, so that pages of other sites may have a browser ask for them.
    host = urlsplit(asked.root).netloc
    check_meant(asked.parts, {**asked.environ, "REQUEST_METHOD": "POST"}, asked.caller, host)
    if asked.environ["REQUEST_METHOD"] == "HEAD":
        admitted(asked, name)
        return reply("", TEXT)
    return post_sync(asked, name)


def post_sync(asked: Asked, name: str) -> bottle.HTTPResponse:
    """The job's one result, or the list of its results; 422 with the reason if it came to nothing.

    503 where no slot is left to wait in, before there is a job; 303 to the job if it is not over
    after the longest time a request may wait, and if an earlier request made it already
    (Idempotency-Key) and it is not over yet.
    """
    service = asked.parts.service
    published = admitted(asked, name)
    job_id = jobs.new_id()
    with service.place(asked.user, job_id, asked.gone) as waiter:
        made = make(asked, published, job_id, _RUN)
        asked.turn.leave()  # what follows takes time, and no memory
        if isinstance(made, bottle.HTTPResponse):
            return made
        if made.id == job_id:
            made = service.until_over(asked.user, name, job_id, waiter)
    return _answer(asked, made)


def _answer(asked: Asked, job: Job) -> bottle.HTTPResponse:
    """What the job has come to. Content-Location says where the same is kept."""
    name = job.definition.name
    if not job.phase.over:
        return see_other(asked.urls.job(name, job.id))
    if job.phase is not Phase.COMPLETED:
        said = job.error.message if job.error is not None else f"it is {job.phase}"
        error = JobFailed(f"job {job.id} has no result: {said}")
        where = {"Content-Location": asked.urls.job(name, job.id, "error" if job.error else "")}
        return refusal(asked.parts, asked.environ, error, where)
    if len(job.results) == 1:
        result = job.results[0].id
        answer = output.get_result(asked, name, job.id, result)
        answer.set_header("Content-Location", asked.urls.result(name, job.id, result))
    else:
        answer = uws.get_results(asked, name, job.id)
        answer.set_header("Content-Location", asked.urls.job(name, job.id, "results"))
    return answer
