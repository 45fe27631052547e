"""Where everything is: the one place that knows the addresses of this server."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode


def _segment(text: str) -> str:
    return quote(text, safe="")


@dataclass(frozen=True, slots=True)
class Urls:
    """Addresses below `root`, which is absolute or, for links within pages, only a path; it has
    no slash at its end."""

    root: str

    def catalogue(self) -> str:
        """The page that lists the descriptions."""
        return f"{self.root}/"

    def jobs(self, name: str | None) -> str:
        """The job list of a description (UWS 1.1 section 2.2.1); of all of them without a name."""
        return f"{self.root}/jobs" if name is None else f"{self.root}/rest/{_segment(name)}"

    def job(self, name: str, job_id: str, child: str = "") -> str:
        """A job, or one of its children."""
        return f"{self.jobs(name)}/{_segment(job_id)}" + (f"/{child}" if child else "")

    def parameter(self, name: str, job_id: str, parameter: str, number: int = 0) -> str:
        """The value of a parameter; `number`, from 1, tells several values apart."""
        url = self.job(name, job_id, f"parameters/{_segment(parameter)}")
        return f"{url}?VALUE={number}" if number else url

    def result(self, name: str, job_id: str, result_id: str) -> str:
        """The file that is a result."""
        return self.job(name, job_id, f"results/{_segment(result_id)}")

    def jdl(self, name: str) -> str:
        """The description itself."""
        return f"{self.root}/jdl/{_segment(name)}"

    def edit(self, name: str = "", *parts: str) -> str:
        """The page that descriptions are worked on, or that of one of them."""
        return "/".join((f"{self.root}/edit", *map(_segment, filter(None, (name, *parts)))))

    def draft(self, name: str, what: str = "") -> str:
        """One's own draft of a description."""
        return f"{self.jdl(name)}/draft{what}"

    def form(self, name: str, job_id: str = "") -> str:
        """The page with a form for a new job; with the values of a job, if one is named."""
        return f"{self.root}/new/{_segment(name)}" + (f"/{_segment(job_id)}" if job_id else "")

    def static(self, stamp: str, file: str) -> str:
        """A file that pages are made with."""
        return f"{self.root}/static/{stamp}/{file}"

    def library(self) -> str:
        """uwsLib.js, for scripts of others."""
        return f"{self.root}/static/uwsLib.js"

    def changes(self) -> str:
        """What happens to one's jobs."""
        return f"{self.root}/changes"

    def sync(self, name: str) -> str:
        """Where a job is run and answered with its result, in one request."""
        return f"{self.jobs(name)}/sync"

    def capabilities(self) -> str:
        """What this server can do."""
        return f"{self.root}/capabilities"

    def api(self) -> str:
        """What can be asked of this server, as a page."""
        return f"{self.root}/api"

    def openapi(self, suffix: str) -> str:
        """The same as a document, in `yaml` or `json`."""
        return f"{self.root}/openapi.{suffix}"

    def sign_in(self, code: str = "", back: str = "") -> str:
        """The page to sign in, that of a one-time link with its code; `back`: where from."""
        path = f"{self.root}/signin" + (f"/{_segment(code)}" if code else "")
        return f"{path}?BACK={_segment(back)}" if back else path

    def sign_out(self) -> str:
        """Where a session is ended."""
        return f"{self.root}/signout"

    def account(self, *parts: str) -> str:
        """The page of one's own account, and what is below it."""
        return "/".join((f"{self.root}/account", *map(_segment, parts)))

    def admin(self, *parts: str) -> str:
        """The pages for admins."""
        return "/".join((f"{self.root}/admin", *map(_segment, parts)))

    def services(self, what: str = "", **query: str) -> str:
        """The pages about services elsewhere: `jobs`, `job` or `new` of one, by its address."""
        path = f"{self.root}/services" + (f"/{what}" if what else "")
        return f"{path}?{urlencode(query)}" if query else path

    def availability(self) -> str:
        """How this server is."""
        return f"{self.root}/availability"
