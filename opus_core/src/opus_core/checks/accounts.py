"""Who can sign in, and whether anybody can who looks after the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from opus_core import job as jobs
from opus_core.auth.people import People
from opus_core.auth.tokens import ADMIN, SIGN_IN
from opus_core.backends import Account, Accounts, Token
from opus_core.checks.installation import Installation
from opus_core.finding import Code, Finding, State, ok

NOBODY: Final = Code(
    "accounts-missing",
    State.ERROR,
    "Nobody may run jobs without signing in, and nobody has an account: nobody can do anything.",
    "`opus user add NAME --role admin` makes an account and prints a link that signs it in.",
)
NO_ADMIN: Final = Code(
    "admin-missing",
    State.WARNING,
    "No account that is on has the role admin: nobody sees to jobs and descriptions by browser.",
    "`opus user add NAME --role admin`, or `opus user set NAME --role admin`.",
)
LOCKED_OUT: Final = Code(
    "admin-locked-out",
    State.WARNING,
    "No admin has a password, a token or a sign-in link that is still good: none can sign in.",
    "`opus user link NAME` prints a link that is good for a day.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """Of accounts that the storage keeps."""
    config, people, storage = installation.config, installation.people, installation.storage
    registry = installation.registry
    if config is None or people is None or storage is None or registry is None:
        return
    if installation.trial or "auth" in installation.mistaken:
        return
    named_elsewhere = bool(config.auth.user_header or registry.hooks.named("opus_authenticate"))
    accounts = people.all()
    admins = [one for one in accounts if one.active and "admin" in one.roles]
    if not accounts and not config.anonymous and not named_elsewhere:
        yield NOBODY(
            "accounts",
            "nobody may run jobs without signing in, and there is no account; `opus user add NAME"
            " --role admin` makes one, and prints a link that signs it in",
        )
    elif not admins and not config.anonymous:
        yield NO_ADMIN(
            "accounts", "no account is an admin's; `opus user set NAME --role admin` makes one so"
        )
    elif admins and not named_elsewhere:
        yield from _admins(admins, storage.accounts(), people, passwords=config.auth.passwords)


def _admins(
    admins: list[Account], kept: Accounts | None, people: People, *, passwords: bool
) -> Iterator[Finding]:
    for admin in admins:
        tokens = kept.get_tokens(admin.name) if kept is not None else []
        by_password = passwords and admin.password is not None
        if by_password or any(map(_signs_in, tokens)):
            yield ok("accounts", f"{admin.name}, an admin, can sign in")
            return
    names = ", ".join(admin.name for admin in admins)
    yield LOCKED_OUT(
        "accounts",
        f"{names}: no admin has a password, a token or a sign-in link that is still good;"
        f" `opus user link {admins[0].name}` prints a new link",
    )


def _signs_in(token: Token) -> bool:
    is_good = token.expires is None or token.expires > jobs.now()
    return is_good and not token.scopes.isdisjoint({ADMIN, SIGN_IN})
