"""Signing in and out with a browser: who shows a password, a token or a one-time link has a session
from then on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import bottle

from opus_core.auth.people import People
from opus_core.errors import LimitReached, NotAllowed, NotAuthenticated, NotFound
from opus_core.forms import read_form
from opus_core.render import people as render
from opus_core.routes.asking import Asked, is_private
from opus_core.routes.creation import no_files
from opus_core.routes.pages import frame
from opus_core.routes.reply import page, see_other, set_cookie

_LONGEST: Final = 2**16  # [byte] of a form


def get_sign_in(asked: Asked) -> bottle.HTTPResponse:
    """The form."""
    return _form(asked, people_of(asked), back=asked.value("BACK"))


def post_sign_in(asked: Asked) -> bottle.HTTPResponse:
    """`NAME` and `PROOF`, a password or a token: a session, and back to where one came from."""
    people = people_of(asked)
    _check_private(asked)
    fields = read_fields(asked)
    name, proof = fields.get("NAME", ""), fields.get("PROOF", "").strip()
    back = fields.get("BACK", "")
    try:
        cookie = people.sign_in(name, proof, address=asked.user.address)
    except (NotAuthenticated, LimitReached) as error:
        if not asked.by_browser:
            raise
        status = 403 if isinstance(error, NotAuthenticated) else error.status
        return _form(asked, people, back=back, name=name, fault=error.sentence, status=status)
    return _entered(asked, people, cookie, back)


def get_link(asked: Asked, code: str) -> bottle.HTTPResponse:
    """Whom a one-time link would sign in. It is not used yet: mail programs look at links, too."""
    name = people_of(asked).by_link(code)
    return page(asked, render.link(frame(asked), name=name, code=code))


def post_link(asked: Asked, code: str) -> bottle.HTTPResponse:
    """Use it."""
    people = people_of(asked)
    _check_private(asked)
    cookie = people.use_link(code, address=asked.user.address)
    return _entered(asked, people, cookie, asked.links.account())


def post_sign_out(asked: Asked) -> bottle.HTTPResponse:
    """End this session; with `EVERYWHERE`, all of the user."""
    people = people_of(asked)
    name = asked.user.name
    if name is not None and "EVERYWHERE" in read_fields(asked):
        check_whole(asked)
        people.sign_out_everywhere(name, name)
    elif asked.caller.session is not None:
        people.sign_out(asked.user, asked.caller.cookie)
    answer = see_other(asked.urls.catalogue())
    answer.set_header("Set-Cookie", set_cookie(asked, "", timedelta()))
    return answer


def people_of(asked: Asked) -> People:
    """The accounts of this server. `NotFound` if it has none."""
    if asked.parts.people is None:
        raise NotFound("this server keeps no accounts")
    return asked.parts.people


def read_fields(asked: Asked) -> dict[str, str]:
    """The short texts of a form by their names in upper case, the last of each; several of one
    name are joined by blanks."""
    limits = replace(asked.parts.limits, max_text=_LONGEST)
    found: dict[str, str] = {}
    for name, value in read_form(asked.environ, store=no_files, limits=limits).values:
        if isinstance(value, str):
            earlier = found.get(name.upper())
            found[name.upper()] = value if earlier is None else f"{earlier} {value}"
    return found


def check_whole(asked: Asked) -> None:
    """Accounts are changed by who has signed in, not by a token that was given a part of what its
    user may do."""
    if asked.user.anonymous:
        raise NotAuthenticated("sign in first")
    if asked.user.scopes is not None:
        raise NotAllowed(
            "accounts and tokens are changed by somebody who has signed in, not by a token"
        )


def _form(
    asked: Asked,
    people: People,
    *,
    back: str,
    name: str = "",
    fault: str = "",
    status: int = 200,
) -> bottle.HTTPResponse:
    text = render.sign_in(
        frame(asked),
        passwords=people.passwords,
        refused=not is_private(asked.environ),
        back=back,
        name=name,
        fault=fault,
    )
    return page(asked, text, status=status)


def _entered(asked: Asked, people: People, cookie: str, back: str) -> bottle.HTTPResponse:
    if asked.caller.session is not None:
        people.sessions.close(asked.caller.cookie)  # nobody shall have kept that one
    root = urlsplit(asked.urls.root)
    answer = see_other(f"{root.scheme}://{root.netloc}{_own(asked, back)}")
    answer.set_header("Set-Cookie", set_cookie(asked, cookie, people.sessions.longest))
    return answer


def _own(asked: Asked, back: str) -> str:
    """A path of this server; its front page for whatever might lead elsewhere."""
    root = asked.links.root
    path = back.removeprefix(root) if back.startswith(f"{root}/") else ""
    plain = path.isascii() and path.isprintable() and not set(path) & set('\\"<> ')
    return back if plain and path.startswith("/") and not path.startswith("//") else f"{root}/"


def _check_private(asked: Asked) -> None:
    if not is_private(asked.environ):
        raise NotAllowed(
            "nobody signs in over plain http, where others can listen; use https. (Behind a proxy,"
            " whoever runs this server has to name it in trusted_proxies.)"
        )
