"""A whole web side on a storage in memory, and a client that calls it without a socket."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlencode, urlsplit
from wsgiref.validate import validator

from lxml import etree

from json_jdl import JsonJdl
from opus_core import job as jobs
from opus_core import routes
from opus_core.auth.audit import Audit
from opus_core.auth.people import People
from opus_core.auth.policy import Policy
from opus_core.auth.tickets import Tickets
from opus_core.backends import SUPERVISOR, Health, HealthState, Limits
from opus_core.datadir import open_data_dir
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.definitions import Catalogue
from opus_core.folder import Folders
from opus_core.job import Phase, Work
from opus_core.publishing import Publishing
from opus_core.sections import Jobs
from opus_core.service import JobService
from opus_core.testing.memory import MemoryStorage
from opus_core.waiting import Watcher

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
XLINK = "{http://www.w3.org/1999/xlink}"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,*/*;q=0.8"

FIT = JobDefinition(
    name="fit",
    description="Fits a curve to a table.",
    type="analysis",
    version="2.1",
    script="cat $table > $curve\n",
    execution_duration=600,
    parameters=(
        ParameterDescription(
            name="order",
            type=ParameterType.INT,
            default="3",
            minimum="1",
            maximum="9",
            unit="deg",
            description="Order of the polynomial.",
        ),
        ParameterDescription(name="title", default="A fit", description="Heading of the plot."),
        ParameterDescription(name="note", description="Anything you like."),
        ParameterDescription(
            name="weight",
            options=(Option(value="none"), Option(value="error", description="1/error")),
            default="none",
        ),
        ParameterDescription(name="robust", type=ParameterType.BOOLEAN, default="yes"),
        ParameterDescription(name="skip", type=ParameterType.INT, repeated=True),
    ),
    used=(UsedDescription(name="table", description="x and y.", content_type="text/csv"),),
    generated=(
        GeneratedDescription(
            name="curve", default="curve.csv", content_type="text/csv", description="The curve."
        ),
        GeneratedDescription(name="plot", default="plot.svg", content_type="image/svg+xml"),
    ),
)
ECHO = JobDefinition(
    name="echo",
    script="echo $text\n",
    parameters=(ParameterDescription(name="text", required=True),),
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def xml(self):
        return etree.fromstring(self.body)

    @property
    def location(self):
        return self.headers["location"]


class Client:
    """Calls the application as a server would, held to PEP 3333 by wsgiref's validator."""

    def __init__(self, app, **environ):
        self._app = validator(app)
        self._environ = environ

    def __call__(self, method, url, body=b"", *, form=None, accept="*/*", **headers):
        path, _, query = url.partition("?")
        content_type = headers.pop("content_type", None)
        if form is not None:
            body, content_type = urlencode(form).encode(), "application/x-www-form-urlencoded"
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, encoding="latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "opus.test",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.7",
            "HTTP_HOST": "opus.test",
            "HTTP_ACCEPT": accept,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **{f"HTTP_{key.upper()}": value for key, value in headers.items()},
            **self._environ,
        }
        if content_type is not None:
            environ["CONTENT_TYPE"] = content_type
        said = {}

        def start_response(status, headers, exc_info=None):
            said.update(status=int(status[:3]), headers={k.lower(): v for k, v in headers})
            return lambda data: None

        result = self._app(environ, start_response)
        try:
            data = b"".join(result)
        finally:
            result.close()
        return Answer(said["status"], said["headers"], data)

    def get(self, url, **more):
        return self("GET", url, **more)

    def post(self, url, **more):
        return self("POST", url, **more)

    def create(self, url="/rest/fit", **form):
        """A new job; answers its path."""
        answer = self.post(url, form=form)
        assert answer.status == 303, answer.text
        return urlsplit(answer.location).path


@dataclass
class Site:
    """The web side and what stands behind it."""

    parts: routes.Parts
    storage: MemoryStorage
    people: People

    def app(self, **changes):
        return routes.make_app(replace(self.parts, **changes))

    def client(self, *, changes=None, **environ):
        return Client(self.app(**(changes or {})), **environ)

    def change(self, job, **changes):
        """What only a supervisor would do to the job of a path."""
        stored = self.storage.read(job.rpartition("/")[2])
        return self.storage.save(replace(stored, **changes), expected=stored.version)

    def run(self, job, phase=Phase.EXECUTING, **changes):
        """The job as if it had been started."""
        values = {"phase": phase, "work": Work.LIVE, "started": jobs.now(), "tag": "opus-t-1"}
        return self.change(job, **(values | changes))

    def write(self, job, path, data):
        """A file in the job's folder, as the wrapper would leave it."""
        file = self.parts.folders.path(job.rpartition("/")[2]) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def finish(self, job, **files):
        """The job over, with results of these ids and contents."""
        results = []
        for result_id, (name, media_type, data) in files.items():
            self.write(job, f"results/{name}", data)
            results.append(
                jobs.Result(
                    id=result_id,
                    name=name,
                    size=len(data),
                    media_type=media_type,
                    sha256=hashlib.sha256(data).hexdigest(),
                )
            )
        now = jobs.now()
        return self.change(
            job,
            phase=Phase.COMPLETED,
            work=Work.RELEASED,
            started=now,
            ended=now,
            results=tuple(results),
        )

    def supervised(self):
        """A supervisor has just said that it is there."""
        now = jobs.now()
        health = Health(state=HealthState.OK, sentence="acting", since=now, heartbeat=now)
        self.storage.set_health(SUPERVISOR, health)


@contextmanager
def site(folder, *, run_options=(), limits=None, wait=5):
    """A site whose data are below `folder`; anonymous users are welcome."""
    universe = uuid.uuid4().hex
    storage = MemoryStorage(MemoryStorage.Options(universe=universe))
    data_dir = open_data_dir(folder / "data")
    jdl = JsonJdl(None)
    catalogue = Catalogue(data_dir.path / "definitions", jdl)
    for definition in (FIT, ECHO):
        catalogue.publish(definition, "test")
    folders = Folders(folder / "jobs")
    watcher = Watcher(storage, slots=8, per_user=4)
    policy = Policy(anonymous=True, anonymous_list=True, access=catalogue.access.of)
    people = People(storage, storage.accounts(), secret=data_dir.secret, passwords=True)
    service = JobService(
        storage=storage,
        catalogue=catalogue,
        folders=folders,
        watcher=watcher,
        data_dir=data_dir,
        settings=Jobs(max_wait=wait),
        limits=limits or Limits(),
        policy=policy,
        audit=Audit(storage),
        manager="none",
        can_resume=False,
        run_options=run_options,
    )
    parts = routes.Parts(
        service=service,
        catalogue=catalogue,
        folders=folders,
        storage=storage,
        policy=policy,
        publishing=Publishing(catalogue, policy, storage),
        tickets=Tickets(data_dir.secret),
        authenticate=lambda request: None,
        people=people,
        jdl=jdl,
    )
    try:
        yield Site(parts, storage, people)
    finally:
        watcher.close()
        MemoryStorage.forget(universe)
