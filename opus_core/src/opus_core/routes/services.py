"""Pages about UWS services elsewhere, in this server's pages or by themselves.

The pages know a service's address and nothing else of it: what it says is asked for by their
scripts, with the credentials that the reader has for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import bottle

from opus_core import notation
from opus_core.backends import Jdl
from opus_core.bodies import Body
from opus_core.definition import JobDefinition
from opus_core.elsewhere import Service, Services
from opus_core.errors import BadRequest, JdlError, NotAuthenticated
from opus_core.forms import Pairs
from opus_core.proxy import METHODS, Answer, Proxy
from opus_core.render import html, services
from opus_core.render.form import fields
from opus_core.render.urls import Urls
from opus_core.routes.asking import Asked, root
from opus_core.routes.pages import frame
from opus_core.routes.parts import Around
from opus_core.routes.reply import JSON, SAMP_HUB, page_about, reply

_LONGEST: Final = 4 * 2**20  # [byte] of a description, and of the values to fill its form with
_FORM: Final = '{"description": TEXT, "values": [[NAME, VALUE], ...]}'
_NAME: Final = "job"  # of a description, which says so itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request about a service elsewhere that may be answered."""

    around: Around
    environ: Mapping[str, Any]
    pairs: Pairs  # of the query string
    frame: html.Frame
    proxy: Proxy
    jdls: Sequence[Jdl]  # the formats that descriptions may be in

    @property
    def services(self) -> Services:
        """Those that are listed."""
        return self.around.services

    def value(self, name: str) -> str:
        """The first value of that name in the query; or empty."""
        return next((value for key, value in self.pairs if key.upper() == name), "")

    @property
    def service(self) -> Service:
        """The one that the request is about."""
        url = self.value("SERVICE")
        if not url:
            raise BadRequest("say by SERVICE which service this is about")
        return self.services.find(url)


Handler = Callable[[Visit], bottle.HTTPResponse]


def merged(function: Handler, asked: Asked) -> bottle.HTTPResponse:
    """A handler in this server: for whoever may use the server itself."""
    parts = asked.parts
    if asked.user.anonymous and not parts.policy.anonymous:
        raise NotAuthenticated("sign in to use services elsewhere from here")
    if parts.proxy is None:
        raise RuntimeError("there are services, and nothing that asks them")
    visit = Visit(
        around=parts,
        environ=asked.environ,
        pairs=asked.pairs,
        frame=frame(asked),
        proxy=parts.proxy,
        jdls=parts.jdls,
    )
    return function(visit)


def get_services(visit: Visit) -> bottle.HTTPResponse:
    """Which there are."""
    return page_about(visit.around, services.listing(visit.frame, visit.services), ())


def get_jobs(visit: Visit) -> bottle.HTTPResponse:
    """The jobs of one; or the job lists that it has."""
    return _page(visit, services.jobs(visit.frame, visit.service))


def get_job(visit: Visit) -> bottle.HTTPResponse:
    """A job of one, by `ID`."""
    job_id = visit.value("ID")
    if not job_id:
        raise BadRequest("say by ID which job this is about")
    samp = visit.around.samp
    text = services.job(visit.frame, visit.service, job_id, samp=samp)
    return _page(visit, text, *((SAMP_HUB,) if samp else ()))


def get_new(visit: Visit) -> bottle.HTTPResponse:
    """A form for a new job of one, with the values of the job `FROM`."""
    return _page(visit, services.new(visit.frame, visit.service))


def get_way(visit: Visit) -> bottle.HTTPResponse:
    """Whether scripts of our pages may ask the service themselves."""
    url = urlsplit(root(visit.around, visit.environ))
    allowed = visit.proxy.lets_pages_ask(visit.service.url, f"{url.scheme}://{url.netloc}")
    return reply(json.dumps({"proxy": not allowed}), JSON)


def post_form(visit: Visit) -> bottle.HTTPResponse:
    """The form that a description makes: `{"description": TEXT, "values": [[NAME, VALUE], ...]}`.
    Nothing is kept."""
    text, values = _content(b"".join(Body(visit.environ, _LONGEST)))
    definition = _definition(text.encode("utf-8", "replace"), visit.jdls)
    made = services.form(fields(definition, values, (), {}))
    said = {"form": made, "about": definition.description}
    return reply(json.dumps(said), JSON)


def _content(data: bytes) -> tuple[str, list[tuple[str, str]]]:
    """A description, and the values for its form."""
    try:
        content = json.loads(data)
        text, pairs = content["description"], content.get("values", [])
        if isinstance(text, str) and all(isinstance(one, str) for pair in pairs for one in pair):
            return text, [(name, value) for name, value in pairs]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadRequest(f"send {_FORM}") from error
    raise BadRequest(f"send {_FORM}")


def _definition(data: bytes, jdls: Sequence[Jdl]) -> JobDefinition:
    if data.lstrip()[:1] == b"{":
        return notation.loads(data, _NAME)
    for one in jdls:
        if one.recognises(data[:4096]):
            return one.loads(data)
    raise JdlError("this is no job description in a format that is installed here")


# -- the proxy


def ask(visit: Visit) -> bottle.HTTPResponse:
    """Ask the service what `URL` says, and answer what it answers."""
    url, method = visit.value("URL"), str(visit.environ.get("REQUEST_METHOD", "GET"))
    if not url:
        raise BadRequest("say by URL what is to be asked")
    body = None
    if method in ("POST", "PUT"):
        body = Body(visit.environ, visit.around.limits.max_total)
    answer = visit.proxy.ask(method, url, _Headers(visit.environ), body)
    return _answered(visit.frame.links, answer)


def _answered(links: Urls, answer: Answer) -> bottle.HTTPResponse:
    """To a browser this is ours: nothing in it may be taken for a page."""
    if answer.location:
        there = links.services("proxy", URL=answer.location)
        return reply("", "text/plain", status=answer.status, headers={"Location": there})
    kind = answer.headers.get("Content-Type", "application/octet-stream")
    return reply(answer.body, kind, status=answer.status, headers=answer.headers)


class _Headers(Mapping[str, str]):
    """The headers of a request by their usual names."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        return str(self._environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"])

    def __iter__(self) -> Any:  # noqa: ANN401
        raise TypeError("they are asked for by name")

    def __len__(self) -> int:
        raise TypeError("they are asked for by name")


def _page(visit: Visit, text: str, *asks: str) -> bottle.HTTPResponse:
    return page_about(visit.around, text, (str(visit.service.origin), *asks))


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/services", get_services),
    ("GET", "/services/jobs", get_jobs),
    ("GET", "/services/job", get_job),
    ("GET", "/services/new", get_new),
    ("GET", "/services/way", get_way),
    ("POST", "/services/form", post_form),
    *((method, "/services/proxy", ask) for method in METHODS),
)
"""Method, rule and function."""
