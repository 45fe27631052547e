"""The pages about UWS services elsewhere; what such a service says, their scripts read."""

from __future__ import annotations

from collections.abc import Sequence

from opus_core.elsewhere import Service, Services
from opus_core.job import Phase
from opus_core.render.form import Field
from opus_core.render.html import Frame, part, render


def listing(frame: Frame, services: Services) -> str:
    """Which there are."""
    return render("services.html", frame, services=services.every)


def jobs(frame: Frame, service: Service) -> str:
    """The page of a job list."""
    return render("service_jobs.html", frame, service=service, phases=list(Phase))


def job(frame: Frame, service: Service, job_id: str, *, samp: bool = False) -> str:
    """The page of a job; `samp`: results can be sent to programs of the reader's."""
    return render("service_job.html", frame, service=service, job_id=job_id, phase=None, samp=samp)


def new(frame: Frame, service: Service) -> str:
    """A form for a new job."""
    return render("service_new.html", frame, service=service)


def form(fields: Sequence[Field]) -> str:
    """The fields of a form, as a part of such a page."""
    return part("preview.html", fields=fields)
