"""The web side: addresses, the functions that answer there, and what they are given.

asking   a request as a handler sees it        reply  an answer, and what an error becomes
uws output creation lists    the job tree      pages  what a browser gets at the same addresses
sync changes                                   files  ranges and conditional requests
definitions events vosi health api static             cors   pages of other sites
services   pages about services elsewhere      application   what these and the client alone share
mounted    what plugins answer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import bottle

from opus_core.definition import TAKEN_NAMES
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
    mounted,
    output,
    publishing,
    services,
    signin,
    static,
    sync,
    uws,
    vosi,
)
from opus_core.routes.application import Application
from opus_core.routes.asking import ask
from opus_core.routes.parts import Parts
from opus_core.routes.reply import refusal

__all__ = ["Parts", "make_app"]

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
    ("POST", f"{_JOB}/results/<result_id>/ticket", output.post_ticket),
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

_ALL_HTML: Final = (definitions.get_form, definitions.get_form_again, api.get_page)
"""Those among them that answer nothing but pages."""

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
"""The same for pages that only people use, where a site has pages; what programs use is in the
OpenAPI document."""

SERVICES: Final[tuple[tuple[str, str, Callable[..., bottle.HTTPResponse]], ...]] = tuple(
    (method, rule, partial(services.merged, function)) for method, rule, function in services.ROUTES
)
"""The same for pages about services elsewhere, where a site lists any."""


MOUNTED: Final[tuple[tuple[str, str, Callable[..., bottle.HTTPResponse]], ...]] = tuple(
    (method, f"{mounted.PREFIX}/<plugin>{rest}", mounted.answer)
    for method in mounted.METHODS
    for rest in ("", "/<rest:path>")
)
"""The same for what plugins answer, where any does."""

_TAKEN: Final = {"name": sorted(TAKEN_NAMES), "job_id": ["sync"]}
"""What stands for something else where a route has a variable of that name."""


def make_app(parts: Parts) -> bottle.Bottle:
    """The WSGI application of these parts."""
    app = Application(parts)
    for variable, words in _TAKEN.items():
        app.router.add_filter(variable, partial(_all_but, words))
    pages = (*PAGES, *(SERVICES if parts.services else ())) if parts.pages else ()
    of_plugins = MOUNTED if parts.mounted else ()
    for method, rule, function in (*ROUTES, *pages, *of_plugins):
        if function in _ALL_HTML and not parts.pages:
            continue
        for variable in _TAKEN:
            rule = rule.replace(f"<{variable}>", f"<{variable}:{variable}>")
        app.route(rule, method, _answering(parts, function))
    app.router.settle()
    return app


def _all_but(words: Sequence[str], configuration: object) -> tuple[str, None, None]:
    """A filter of bottle's: one part of a path that is none of the words. Without it, `Allow`
    would tell of methods that another address has."""
    return rf"(?!(?:{'|'.join(words)})(?:/|$))[^/]+", None, None


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
