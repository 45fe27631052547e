"""A bottle application as ours are: the server's, and that of the client alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import bottle

from opus_core.errors import NotFound, OpusError
from opus_core.forwarded import Proxies
from opus_core.routes.cors import Cors
from opus_core.routes.log import Answered
from opus_core.routes.parts import Around
from opus_core.routes.reply import refusal

AS_SENT: Final = "opus.path"
"""The path as the client has sent it: applications of plugins may tell `/a` from `/a/`."""

_SLASHES: Final = re.compile("//+")
_YEAR: Final = 31_536_000  # [s]


class Router(bottle.Router):  # type: ignore[misc]  # bottle has no types
    """One that makes its expressions when all rules are known.

    bottle's own makes one of all rules so far with each rule that comes, which took a sixth of the
    start of a server.
    """

    def _compile(self, method: str) -> None:
        """With `settle`."""

    def settle(self) -> None:
        """Every rule has been added; none is found before."""
        for method in self.dyna_routes:
            super()._compile(method)


class Application(bottle.Bottle):  # type: ignore[misc]
    """A bottle that is lenient about slashes and speaks of its errors as we do."""

    def __init__(self, around: Around) -> None:
        super().__init__()
        self.__dict__["router"] = Router()  # a bottle lets nothing that it has be replaced
        self._around = around
        self._cors = Cors(around.origins)
        self._proxies = Proxies(around.proxies, around.user_header)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        environ = self._proxies.seen_through(environ)
        environ[AS_SENT] = str(environ.get("PATH_INFO", ""))
        return Answered(environ, AS_SENT).by(self._answer, start_response)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        if environ.get("wsgi.url_scheme") == "https":
            start_response = _over_tls_alone(start_response)
        path = _SLASHES.sub("/", f"/{environ.get('PATH_INFO', '')}")
        # What is no UTF-8 stays something that is not there: bottle would leave it out.
        path = path.encode("latin-1").decode("utf-8", "replace").encode().decode("latin-1")
        environ["PATH_INFO"] = path.rstrip("/") or "/"
        if self._cors:
            preflight = self._cors.preflight(environ)
            if preflight is not None:
                start_response("204 No Content", preflight)
                return []
            start_response = self._starting(environ, start_response)
        answer: Iterable[bytes] = super().__call__(environ, start_response)
        # bottle would keep it until the next request of the same thread.
        bottle.response.body = b""
        return answer

    def _starting(self, environ: dict[str, Any], start_response: Any) -> Callable[..., Any]:  # noqa: ANN401
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:  # noqa: ANN401
            return start_response(status, self._cors.added(headers, environ), *error)

        return start

    def default_error_handler(self, res: bottle.HTTPError) -> bottle.HTTPResponse:
        """What the router says, and faults beyond our handlers."""
        environ = bottle.request.environ
        if res.exception is not None:
            return refusal(self._around, environ, res.exception)
        if res.status_code != 405:
            return refusal(self._around, environ, NotFound("there is nothing at this address"))
        allow = _allowed(res.get_header("Allow", ""))
        method = str(environ["REQUEST_METHOD"])
        error = _WrongMethod(f"{method[:20]} is not possible here, only {allow}")
        return refusal(self._around, environ, error, {"Allow": allow})


def _over_tls_alone(start_response: Any) -> Callable[..., Any]:  # noqa: ANN401
    """Who has come by https once is to come by nothing else any more (RFC 6797)."""

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:  # noqa: ANN401
        hsts = ("Strict-Transport-Security", f"max-age={_YEAR}")
        return start_response(status, [*headers, hsts], *error)

    return start


class _WrongMethod(OpusError):
    """The address is right, what is asked of it is not."""

    status = 405


def _allowed(methods: str) -> str:
    """The methods of an Allow header; where GET is possible, HEAD is."""
    every = {method for method in methods.split(",") if method}
    return ", ".join(sorted(every | {"HEAD"} if "GET" in every else every))
