"""One's own account: tokens for programs, the password, the sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import bottle

from opus_core.auth import passwords
from opus_core.auth.tokens import SCOPES, Made
from opus_core.backends import Account
from opus_core.errors import BadRequest
from opus_core.queries import whole
from opus_core.render import people as render
from opus_core.routes.asking import Asked
from opus_core.routes.pages import frame
from opus_core.routes.reply import page, see_other
from opus_core.routes.signin import check_whole, people_of, read_fields

_MOST_DAYS: Final = 36500


def get_account(asked: Asked) -> bottle.HTTPResponse:
    """The page."""
    account = _own(asked)
    return _page(asked, account)


def post_token(asked: Asked) -> bottle.HTTPResponse:
    """A new token: `NAME`, `SCOPE` (several), `DAYS`. The page shows it this once."""
    account = _own(asked)
    made = make_token(asked, account.name)
    return _page(asked, account, made)


def post_revocation(asked: Asked, prefix: str) -> bottle.HTTPResponse:
    """Let one of one's tokens count no more."""
    account = _own(asked)
    people_of(asked).revoke_token(account.name, prefix, user=account.name)
    return see_other(asked.urls.account())


def post_password(asked: Asked) -> bottle.HTTPResponse:
    """`PASSWORD`, and `PRESENT` if there is one; all sessions end."""
    account, people, fields = _own(asked), people_of(asked), read_fields(asked)
    if account.password is not None:
        people.check_password(account.name, fields.get("PRESENT", ""), address=asked.user.address)
    people.set_password(account.name, account.name, fields.get("PASSWORD", ""))
    return see_other(asked.urls.sign_in())


def make_token(asked: Asked, user: str) -> Made:
    """The token that a form asks for."""
    fields = read_fields(asked)
    return people_of(asked).make_token(
        asked.user.name or "",
        user,
        name=fields.get("NAME", ""),
        scopes=frozenset(fields.get("SCOPE", "").split()),
        lifetime=lifetime(fields.get("DAYS", "")),
    )


def lifetime(days: str) -> timedelta | None:
    """How long a token is to count; nothing: for ever."""
    if not days.strip():
        return None
    number = whole(days)
    if number is None or not 1 <= number <= _MOST_DAYS:
        raise BadRequest(f"DAYS is a whole number from 1 to {_MOST_DAYS}, or nothing")
    return timedelta(days=number)


def _own(asked: Asked) -> Account:
    check_whole(asked)
    name = asked.user.name or ""
    return people_of(asked).known(name, name)


def _page(asked: Asked, account: Account, made: Made | None = None) -> bottle.HTTPResponse:
    people = people_of(asked)
    text = render.account(
        frame(asked),
        account,
        people.tokens.of(account.name),
        scopes={key: SCOPES[key] for key in SCOPES if key != "admin" or "admin" in account.roles},
        passwords=people.passwords,
        shortest=passwords.SHORTEST,
        made=made,
    )
    return page(asked, text)
