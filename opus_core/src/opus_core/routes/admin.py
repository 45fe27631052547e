"""Pages for admins: how the site is, the users with their tokens and sessions, and the record of
who did what."""

from __future__ import annotations

from typing import Final

import bottle

from opus_core.auth.people import ROLES, People
from opus_core.auth.tokens import SCOPES, Made
from opus_core.errors import BadRequest
from opus_core.render import admin as administration
from opus_core.render import people as render
from opus_core.render.admin import Overview
from opus_core.routes import health
from opus_core.routes.account import make_token
from opus_core.routes.asking import Asked
from opus_core.routes.pages import frame
from opus_core.routes.reply import page, see_other
from opus_core.routes.signin import check_whole, people_of, read_fields

_SHOWN: Final = 200  # acts


def get_overview(asked: Asked) -> bottle.HTTPResponse:
    """Health, plugins, and what is announced."""
    _check(asked)
    parts = asked.parts
    overview = Overview(
        components=dict(sorted(health.components(parts).items())),
        plugins=parts.plugins(),
        announcement=parts.announcements.current(),
    )
    return page(asked, administration.overview(frame(asked), overview))


def post_announcement(asked: Asked) -> bottle.HTTPResponse:
    """`TEXT`: what is announced from now on; nothing, if it is empty."""
    _check(asked)
    asked.parts.announcements.announce(asked.user, read_fields(asked).get("TEXT", ""))
    return see_other(asked.urls.admin())


def get_users(asked: Asked) -> bottle.HTTPResponse:
    """All accounts."""
    people = _admitted(asked)
    return page(asked, render.users(frame(asked), people.all(), roles=ROLES))


def post_users(asked: Asked) -> bottle.HTTPResponse:
    """A new account: `NAME`, `ROLES`, `FULLNAME`, `EMAIL`."""
    people, fields = _admitted(asked), read_fields(asked)
    added = people.add(
        asked.user.name or "",
        fields.get("NAME", "").strip(),
        roles=frozenset(fields.get("ROLES", "").split()),
        full_name=fields.get("FULLNAME", ""),
        email=fields.get("EMAIL", ""),
    )
    return see_other(asked.urls.admin("users", added.name))


def get_user(asked: Asked, user: str) -> bottle.HTTPResponse:
    """One account."""
    return _user(asked, _admitted(asked), user)


def post_user(asked: Asked, user: str) -> bottle.HTTPResponse:
    """`ACTION` says what is done to it: change, link, token, revoke, signout or remove."""
    people, fields = _admitted(asked), read_fields(asked)
    actor = asked.user.name or ""
    match fields.get("ACTION", ""):
        case "change":
            people.change(
                actor,
                user,
                roles=frozenset(fields.get("ROLES", "").split()),
                active="ACTIVE" in fields,
                full_name=fields.get("FULLNAME", ""),
                email=fields.get("EMAIL", ""),
            )
        case "link":
            code = people.link(actor, user)
            return _user(asked, people, user, link=asked.urls.sign_in(code))
        case "token":
            return _user(asked, people, user, made=make_token(asked, user))
        case "revoke":
            people.revoke_token(actor, fields.get("TOKEN", ""), user=user)
        case "signout":
            people.sign_out_everywhere(actor, user)
        case "remove":
            people.remove(actor, user)
            return see_other(asked.urls.admin("users"))
        case other:
            raise BadRequest(
                f"ACTION cannot be {other[:30]!r}; it is change, link, token, revoke, signout or"
                " remove"
            )
    return see_other(asked.urls.admin("users", user))


def get_audit(asked: Asked) -> bottle.HTTPResponse:
    """The last acts."""
    entries = _admitted(asked).audit.latest(_SHOWN)
    return page(asked, render.audit(frame(asked), entries))


def _user(
    asked: Asked, people: People, name: str, *, link: str = "", made: Made | None = None
) -> bottle.HTTPResponse:
    text = render.user(
        frame(asked),
        people.read(name),
        people.tokens.of(name),
        roles=ROLES,
        scopes=SCOPES,
        link=link,
        made=made,
    )
    return page(asked, text)


def _admitted(asked: Asked) -> People:
    _check(asked)
    return people_of(asked)


def _check(asked: Asked) -> None:
    asked.parts.policy.may_administer(asked.user)
    check_whole(asked)
