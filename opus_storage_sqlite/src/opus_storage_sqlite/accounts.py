"""Users, their tokens and their browser sessions, in the same database as the jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, exc, insert, or_, select, update

from opus_core.backends import Account, Accounts, Session, Token
from opus_core.errors import AlreadyExists, Conflict, UnknownSession, UnknownToken, UnknownUser
from opus_storage_sqlite.clock import instant, instant_or_none, micros, micros_or_none
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.document import AnyRow, dump
from opus_storage_sqlite.tables import accounts, sessions, tokens


class SqlAccounts(Accounts):
    """Accounts in an SQL database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- users

    def add_user(self, account: Account) -> Account:
        added = replace(account, version=1)
        with self._database.writing() as connection:
            try:
                connection.execute(insert(accounts), _account_row(added))
            except exc.IntegrityError as error:
                raise AlreadyExists(f"there is a user {account.name!r} already") from error
        return added

    def read_user(self, name: str) -> Account:
        with self._database.reading() as connection:
            row = connection.execute(select(accounts).where(accounts.c.name == name)).one_or_none()
        if row is None:
            raise _no_user(name)
        return _account(row)

    def save_user(self, account: Account, *, expected: int) -> Account:
        saved = replace(account, version=expected + 1)
        one = accounts.c.name == account.name
        with self._database.writing() as connection:
            done = connection.execute(
                update(accounts)
                .where(one, accounts.c.version == expected)
                .values(_account_row(saved))
            )
            if done.rowcount == 0:
                version = connection.execute(
                    select(accounts.c.version).where(one)
                ).scalar_one_or_none()
                if version is None:
                    raise _no_user(account.name)
                raise Conflict(
                    f"user {account.name!r} was changed by somebody else: version {version}, not"
                    f" {expected}; read it again"
                )
        return saved

    def delete_user(self, name: str) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(accounts).where(accounts.c.name == name))

    def get_users(self, after: str = "", limit: int = 1000) -> list[Account]:
        query = (
            select(accounts).where(accounts.c.name > after).order_by(accounts.c.name).limit(limit)
        )
        with self._database.reading() as connection:
            return [_account(row) for row in connection.execute(query)]

    # -- tokens

    def add_token(self, token: Token) -> None:
        values = {
            "prefix": token.prefix,
            "user": token.user,
            "hash": token.hash,
            "name": token.name,
            "scopes": dump(sorted(token.scopes)),
            "created": micros(token.created),
            "expires": micros_or_none(token.expires),
            "last_used": micros_or_none(token.last_used),
        }
        with self._database.writing() as connection:
            _check_user(connection, token.user)
            try:
                connection.execute(insert(tokens), values)
            except exc.IntegrityError as error:
                raise AlreadyExists(f"there is a token {token.prefix!r} already") from error

    def read_token(self, prefix: str) -> Token:
        with self._database.reading() as connection:
            row = connection.execute(select(tokens).where(tokens.c.prefix == prefix)).one_or_none()
        if row is None:
            raise UnknownToken(f"there is no token {prefix!r}; it may have been revoked")
        return _token(row)

    def get_tokens(self, user: str) -> list[Token]:
        query = (
            select(tokens).where(tokens.c.user == user).order_by(tokens.c.created, tokens.c.prefix)
        )
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(query)]

    def use_token(self, prefix: str, instant: datetime) -> None:
        used = micros(instant)
        earlier = or_(tokens.c.last_used.is_(None), tokens.c.last_used < used)
        with self._database.writing() as connection:
            connection.execute(
                update(tokens).where(tokens.c.prefix == prefix, earlier).values(last_used=used)
            )

    def delete_token(self, prefix: str) -> bool:
        with self._database.writing() as connection:
            done = connection.execute(delete(tokens).where(tokens.c.prefix == prefix))
        return done.rowcount > 0

    # -- sessions

    def add_session(self, session: Session) -> None:
        values = {
            "hash": session.hash,
            "user": session.user,
            "created": micros(session.created),
            "last_seen": micros(session.last_seen),
            "data": dump(dict(session.data)),
        }
        with self._database.writing() as connection:
            _check_user(connection, session.user)
            try:
                connection.execute(insert(sessions), values)
            except exc.IntegrityError as error:
                raise AlreadyExists("there is such a session already; make a new one") from error

    def read_session(self, session_hash: str) -> Session:
        with self._database.reading() as connection:
            row = connection.execute(
                select(sessions).where(sessions.c.hash == session_hash)
            ).one_or_none()
        if row is None:
            raise UnknownSession("there is no such session; sign in again")
        return Session(
            hash=row.hash,
            user=row.user,
            created=instant(row.created),
            last_seen=instant(row.last_seen),
            data=json.loads(row.data),
        )

    def use_session(self, session_hash: str, instant: datetime, data: Mapping[str, str]) -> None:
        values = {"last_seen": micros(instant), "data": dump(dict(data))}
        with self._database.writing() as connection:
            connection.execute(
                update(sessions).where(sessions.c.hash == session_hash).values(values)
            )

    def delete_session(self, session_hash: str) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.hash == session_hash))

    def delete_sessions(self, user: str) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.user == user))

    def sweep(self, *, expired_before: datetime, idle_before: datetime) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(tokens).where(tokens.c.expires < micros(expired_before)))
            connection.execute(delete(sessions).where(sessions.c.last_seen < micros(idle_before)))


def _no_user(name: str) -> UnknownUser:
    return UnknownUser(f"there is no user {name!r}")


def _check_user(connection: Connection, name: str) -> None:
    query = select(accounts.c.version).where(accounts.c.name == name).with_for_update()
    if connection.execute(query).one_or_none() is None:
        raise _no_user(name)


def _account_row(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "version": account.version,
        "roles": dump(sorted(account.roles)),
        "active": account.active,
        "password": account.password,
        "full_name": account.full_name,
        "email": account.email,
        "created": micros(account.created),
    }


def _account(row: AnyRow) -> Account:
    return Account(
        name=row.name,
        roles=frozenset(json.loads(row.roles)),
        active=row.active,
        password=row.password,
        full_name=row.full_name,
        email=row.email,
        created=instant(row.created),
        version=row.version,
    )


def _token(row: AnyRow) -> Token:
    return Token(
        prefix=row.prefix,
        user=row.user,
        hash=row.hash,
        name=row.name,
        scopes=frozenset(json.loads(row.scopes)),
        created=instant(row.created),
        expires=instant_or_none(row.expires),
        last_used=instant_or_none(row.last_used),
    )
