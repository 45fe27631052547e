"""The web side: addresses, the functions that answer there, and what they are given.

asking   a request as a handler sees it        reply  an answer, and what an error becomes
uws output creation lists    the job tree      pages  what a browser gets at the same addresses
sync changes                                   files  ranges and conditional requests
definitions events vosi health api static             cors   pages of other sites
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

import bottle

from opus_core.definition import TAKEN_NAMES
from opus_core.errors import NotFound, OpusError
from opus_core.forwarded import Proxies
from opus_core.routes import (
    account,
    admin,
    api,
    archive,
    changes,
    creation,
    definitions,
    editing,
    events,
    output,
    publishing,
    signin,
    static,
    sync,
    uws,
    vosi,
)
from opus_core.routes.asking import ask
from opus_core.routes.cors import Cors
from opus_core.routes.parts import Parts
from opus_core.routes.reply import refusal

__all__ = ["Parts", "make_app"]

_SLASHES: Final = re.compile("//+")
_YEAR: Final = 31_536_000  # [s]
_JOBS: Final = "/rest/<name>"
_JOB: Final = "/rest/<name>/<job_id>"

ROUTES: Final[tuple[tuple[str, str, Callable[..., bottle.HTTPResponse]], ...]] = (
    ("GET", "/", definitions.get_catalogue),
    ("GET", "/rest", definitions.get_catalogue),
    ("GET", "/rest/capabilities", vosi.get_capabilities),
    ("GET", "/rest/availability", vosi.get_availability),
    ("GET", "/jobs", uws.get_lists),
    ("GET", "/new/<name>", definitions.get_form),
    ("GET", "/new/<name>/<job_id>", definitions.get_form_again),
    ("GET", "/jdl/<name>", definitions.get_jdl),
    ("GET", "/jdl/<name>/script", publishing.get_script),
    ("GET", "/jdl/<name>/draft", publishing.get_draft),
    ("PUT", "/jdl/<name>/draft", publishing.put_draft),
    ("DELETE", "/jdl/<name>/draft", publishing.delete_draft),
    ("POST", "/jdl/<name>/draft/request", publishing.post_wish),
    ("GET", "/jdl/<name>/versions", publishing.get_versions),
    ("POST", "/jdl/<name>/publish", publishing.post_publication),
    ("POST", "/jdl/<name>/withdraw", publishing.post_withdrawal),
    ("GET", "/jdl/<name>/access", publishing.get_access),
    ("PUT", "/jdl/<name>/access", publishing.put_access),
    ("GET", _JOBS, uws.get_list),
    ("POST", _JOBS, creation.create),
    ("GET", f"{_JOBS}/sync", sync.get_sync),
    ("POST", f"{_JOBS}/sync", sync.post_sync),
    ("GET", _JOB, uws.get_job),
    ("POST", _JOB, uws.post_job),
    ("DELETE", _JOB, uws.delete_job),
    ("GET", f"{_JOB}/phase", uws.get_phase),
    ("POST", f"{_JOB}/phase", uws.post_phase),
    ("GET", f"{_JOB}/executionduration", uws.get_execution_duration),
    ("POST", f"{_JOB}/executionduration", uws.post_execution_duration),
    ("GET", f"{_JOB}/destruction", uws.get_destruction),
    ("POST", f"{_JOB}/destruction", uws.post_destruction),
    ("GET", f"{_JOB}/error", uws.get_error),
    ("GET", f"{_JOB}/quote", uws.get_quote),
    ("GET", f"{_JOB}/owner", uws.get_owner),
    ("GET", f"{_JOB}/parameters", uws.get_parameters),
    ("POST", f"{_JOB}/parameters", uws.post_parameters),
    ("GET", f"{_JOB}/parameters/<parameter>", output.get_parameter),
    ("PUT", f"{_JOB}/parameters/<parameter>", uws.put_parameter),
    ("GET", f"{_JOB}/results", uws.get_results),
    ("GET", f"{_JOB}/results/<result_id>", output.get_result),
    ("GET", f"{_JOB}/results.zip", archive.get_archive),
    ("GET", f"{_JOB}/stdout", output.get_stdout),
    ("GET", f"{_JOB}/stderr", output.get_stderr),
    ("POST", "/handler/job_event", events.post_event),
    ("GET", "/changes", changes.get_changes),
    ("GET", "/capabilities", vosi.get_capabilities),
    ("GET", "/availability", vosi.get_availability),
    ("GET", "/healthz", vosi.get_health),
    ("GET", "/api", api.get_page),
    ("GET", "/openapi.yaml", api.get_yaml),
    ("GET", "/openapi.json", api.get_json),
    ("GET", "/static/<file>", static.get_static),
)
"""Method, rule and function; HEAD goes where GET goes."""

PAGES: Final[tuple[tuple[str, str, Callable[..., bottle.HTTPResponse]], ...]] = (
    ("GET", "/static/<stamp>/<file>", static.get_stamped),
    ("GET", "/signin", signin.get_sign_in),
    ("POST", "/signin", signin.post_sign_in),
    ("GET", "/signin/<code>", signin.get_link),
    ("POST", "/signin/<code>", signin.post_link),
    ("POST", "/signout", signin.post_sign_out),
    ("GET", "/edit", editing.get_descriptions),
    ("GET", "/edit/<name>", editing.get_editor),
    ("POST", "/edit/<name>/preview", editing.post_preview),
    ("GET", "/edit/<name>/versions", editing.get_versions),
    ("GET", "/account", account.get_account),
    ("POST", "/account/tokens", account.post_token),
    ("POST", "/account/tokens/<prefix>/revoke", account.post_revocation),
    ("POST", "/account/password", account.post_password),
    ("GET", "/admin", admin.get_overview),
    ("POST", "/admin/announcement", admin.post_announcement),
    ("GET", "/admin/users", admin.get_users),
    ("POST", "/admin/users", admin.post_users),
    ("GET", "/admin/users/<user>", admin.get_user),
    ("POST", "/admin/users/<user>", admin.post_user),
    ("GET", "/admin/audit", admin.get_audit),
)
"""The same for pages that only people use; what programs use is in the OpenAPI document."""


_TAKEN: Final = {"name": sorted(TAKEN_NAMES), "job_id": ["sync"]}
"""What stands for something else where a route has a variable of that name."""


def make_app(parts: Parts) -> bottle.Bottle:
    """The WSGI application of these parts."""
    app = _Application(parts)
    for variable, words in _TAKEN.items():
        app.router.add_filter(variable, partial(_all_but, words))
    for method, rule, function in (*ROUTES, *PAGES):
        for variable in _TAKEN:
            rule = rule.replace(f"<{variable}>", f"<{variable}:{variable}>")
        app.route(rule, method, _answering(parts, function))
    return app


def _all_but(words: Sequence[str], configuration: object) -> tuple[str, None, None]:
    """A filter of bottle's: one part of a path that is none of the words. Without it, `Allow`
    would tell of methods that another address has."""
    return rf"(?!(?:{'|'.join(words)})(?:/|$))[^/]+", None, None


class _Application(bottle.Bottle):  # type: ignore[misc]  # bottle has no types
    """A bottle that is lenient about slashes and speaks of its errors as we do."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._parts = parts
        self._cors = Cors(parts.origins)
        self._proxies = Proxies(parts.proxies, parts.user_header)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401
        environ = self._proxies.seen_through(environ)
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
            return refusal(self._parts, environ, res.exception)
        if res.status_code != 405:
            return refusal(self._parts, environ, NotFound("there is nothing at this address"))
        allow = _allowed(res.get_header("Allow", ""))
        method = str(environ["REQUEST_METHOD"])
        error = _WrongMethod(f"{method[:20]} is not possible here, only {allow}")
        return refusal(self._parts, environ, error, {"Allow": allow})


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


def _answering(
    parts: Parts, function: Callable[..., bottle.HTTPResponse]
) -> Callable[..., bottle.HTTPResponse]:
    """The function as bottle calls it: given the request, its errors turned into responses."""

    def answer(**names: str) -> bottle.HTTPResponse:
        environ = bottle.request.environ
        turn = parts.turns.turn()
        try:
            return function(ask(parts, environ, turn), **names)
        except Exception as error:
            return refusal(parts, environ, error)
        finally:
            turn.leave()

    return answer
