"""The extension `metrics`: what it answers, and to whom."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from opus_core import hookimpl
from opus_core.auth.policy import Policy
from opus_core.backends import Storage, User
from opus_core.errors import NotAllowed, NotAuthenticated, NotFound
from opus_core.extensions import Extension, Routes, Site
from opus_core.forwarded import FORWARDED, Networks
from opus_metrics import exposition
from opus_metrics.follower import Follower
from opus_metrics.options import MetricsOptions

_METHODS: Final = ("GET", "HEAD")
_POLICY: Final = Policy()


class Metrics(Extension):
    """Answers at `/plugins/metrics` with what the storage knows, the same from every process."""

    name = "metrics"
    about = "The numbers of this server for Prometheus"
    Options = MetricsOptions

    options: MetricsOptions
    _storage: Storage
    _follower: Follower

    def warnings(self) -> Sequence[str]:
        """A network that everybody is in."""
        everybody = [
            network for network in self.options.allow if not ipaddress.ip_network(network).prefixlen
        ]
        return [
            f'[plugins.metrics] allow has "{network}": everybody who reaches this server may read'
            " how many jobs it has of each kind"
            for network in everybody
        ]

    def open(self, site: Site) -> None:
        """Keep the storage; nothing is counted before somebody asks."""
        self._storage = site.storage
        self._follower = Follower(site.storage)

    @hookimpl
    def opus_routes(self) -> Routes:
        """Who is unknown to OPUS may still be Prometheus, so that is decided here."""
        return Routes(application=self.answer, anonymous=True)

    def answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """A WSGI application. Raises `NotAuthenticated`, `NotAllowed`, `NotFound`; and what the
        storage raises: without it nothing is known, and no old number is told for a new one."""
        self._check(environ)
        if environ.get("PATH_INFO", "") not in ("", "/"):
            raise NotFound("there is one page of metrics, and nothing below it")
        if environ["REQUEST_METHOD"] not in _METHODS:
            start("405 Method Not Allowed", [("Allow", ", ".join(_METHODS))])
            return [b"metrics can be read, and nothing else\n"]
        begun = time.monotonic()
        metrics = self._follower.look(exposition.of_jobs)
        metrics += exposition.of_components(self._storage.health())
        metrics += exposition.of_answer(time.monotonic() - begun)
        body, media_type = exposition.write(metrics, environ.get("HTTP_ACCEPT", ""))
        start("200 OK", [("Content-Type", media_type), ("Vary", "Accept")])
        return [body]

    def _check(self, environ: dict[str, Any]) -> None:
        """Whether who asks may know. An address counts only if it is the client's: one that a
        proxy has which is not trusted says nothing of who is behind it."""
        user: User = environ["opus.user"]
        address = "" if environ.get(FORWARDED) else str(environ.get("REMOTE_ADDR") or "")
        if _POLICY.is_admin(user) or address in Networks(self.options.allow):
            return
        if user.anonymous:
            raise NotAuthenticated(
                "metrics are for admins, and for the addresses in [plugins.metrics] allow"
            )
        raise NotAllowed("metrics are for admins of this server")


@hookimpl
def opus_register_extension() -> type[Extension]:
    """Offer the extension to the registry."""
    return Metrics
