"""The pages about users: signing in, one's account, and what admins see of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opus_core.auth.audit import Entry
from opus_core.auth.tokens import Made
from opus_core.backends import Account, Token
from opus_core.render.html import Frame, render


def sign_in(
    frame: Frame, *, passwords: bool, refused: bool, back: str, name: str, fault: str
) -> str:
    """The form; `refused`: the connection can be listened to, so nobody signs in by it."""
    return render(
        "signin.html",
        frame,
        passwords=passwords,
        refused=refused,
        back=back,
        name=name,
        fault=fault,
    )


def link(frame: Frame, *, name: str, code: str) -> str:
    """Whom a one-time link signs in."""
    return render("link.html", frame, name=name, code=code)


def account(
    frame: Frame,
    value: Account,
    tokens: Sequence[Token],
    *,
    scopes: Mapping[str, str],
    passwords: bool,
    shortest: int,
    made: Made | None,
) -> str:
    """One's own account; `made`: a token that was made just now."""
    return render(
        "account.html",
        frame,
        account=value,
        tokens=tokens,
        scopes=scopes,
        passwords=passwords,
        shortest=shortest,
        made=made,
    )


def users(frame: Frame, accounts: Sequence[Account], *, roles: Mapping[str, str]) -> str:
    """All accounts."""
    return render("users.html", frame, accounts=accounts, roles=roles)


def user(
    frame: Frame,
    value: Account,
    tokens: Sequence[Token],
    *,
    roles: Mapping[str, str],
    scopes: Mapping[str, str],
    link: str,
    made: Made | None,
) -> str:
    """One account as an admin sees it; `link`: a one-time link that was made just now."""
    return render(
        "user.html",
        frame,
        account=value,
        tokens=tokens,
        roles=roles,
        scopes=scopes,
        link=link,
        made=made,
    )


def audit(frame: Frame, entries: Sequence[Entry]) -> str:
    """The last acts, newest first."""
    return render("audit.html", frame, entries=entries)
