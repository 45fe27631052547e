"""The pages by themselves, without a server of jobs: a UWS client for services of others.

It keeps nothing: what readers sign in with at a service stays in their browsers, and goes through
here only to a service that does not let pages of ours ask it (`opus_core.proxy`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Final
from urllib.parse import urlsplit

import bottle

from opus_core import __version__
from opus_core.auth.origin import check_origin
from opus_core.backends import HealthState, Jdl
from opus_core.elsewhere import Services
from opus_core.forms import FormLimits, read_query
from opus_core.heavy import Turns
from opus_core.proxy import Proxy
from opus_core.render import html
from opus_core.render.urls import Urls
from opus_core.routes import services, static
from opus_core.routes.application import Application
from opus_core.routes.asking import check_called, root
from opus_core.routes.reply import JSON, refusal, reply
from opus_core.routes.services import Visit

Handler = Callable[..., bottle.HTTPResponse]


@dataclass(frozen=True, kw_only=True)
class Client:
    """What the application knows of itself (`opus_core.routes.parts.Around`)."""

    services: Services
    jdls: tuple[Jdl, ...] = ()  # the formats that descriptions may be in
    base_url: str | None = None
    debug: bool = False
    limits: FormLimits = field(default_factory=FormLimits)
    at_once: int = 32  # requests to services
    private: bool = False  # only this machine can ask
    proxies: tuple[str, ...] = ()  # whose X-Forwarded-* headers are believed
    samp: bool = True  # results are sent to programs of their readers
    title: str = "OPUS"
    version: str = __version__
    user_header: None = None  # nobody is anybody here
    origins: tuple[str, ...] = ()
    pages: bool = True
    accounts: bool = False
    alone: bool = True
    turns: Turns = field(default_factory=Turns)

    @cached_property
    def proxy(self) -> Proxy:
        """What asks the services."""
        return Proxy(self.services, at_once=self.at_once)


def make_client(client: Client) -> bottle.Bottle:
    """The WSGI application."""
    app = Application(client)
    for method, rule, function in services.ROUTES:
        app.route(rule, method, _answering(client, partial(_visited, client, function)))
    for method, rule, handler in _ROUTES:
        app.route(rule, method, _answering(client, handler))
    app.route("/", "GET", _answering(client, partial(_visited, client, services.get_services)))
    app.router.settle()
    return app


def _visited(client: Client, function: services.Handler) -> bottle.HTTPResponse:
    environ = bottle.request.environ
    here = urlsplit(root(client, environ))
    check_origin(environ, here.netloc, anonymous=True)
    visit = Visit(
        around=client,
        environ=environ,
        pairs=read_query(environ, client.limits),
        frame=html.Frame(
            links=Urls(here.path),
            title=client.title,
            version=client.version,
            alone=True,
            services=True,
        ),
        proxy=client.proxy,
        jdls=client.jdls,
    )
    return function(visit)


def _health() -> bottle.HTTPResponse:
    return reply(json.dumps({"status": HealthState.OK, "version": __version__}), JSON)


_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/static/<file>", partial(static.get_static, None)),
    ("GET", "/static/<stamp>/<file>", partial(static.get_stamped, None)),
    ("GET", "/healthz", _health),
)


def _answering(client: Client, function: Handler) -> Handler:
    """The function as bottle calls it, its errors turned into responses."""

    def answer(**names: str) -> bottle.HTTPResponse:
        environ = bottle.request.environ
        try:
            if client.private:
                check_called(environ)
            return function(**names)
        except Exception as error:
            return refusal(client, environ, error)

    return answer
