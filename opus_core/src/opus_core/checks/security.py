"""What an auditor would ask of an installation: `opus check --security`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from opus_core import job as jobs
from opus_core.auth.people import People
from opus_core.checks.installation import Installation
from opus_core.config import Config
from opus_core.finding import Code, Finding, State, ok
from opus_core.process import system_name

_LONG: Final = timedelta(days=400)  # that a token is good for
WIDE: Final = 2**16  # addresses


HTTPS: Final = Code(
    "security-https",
    State.ERROR,
    "Others can listen to what users and the server say.",
    "Put a web server with TLS in front, and set `base_url` to its https address.",
)
CORS: Final = Code(
    "security-cors",
    State.WARNING,
    "Pages of all sites may do what anonymous users may.",
    "Name the origins in `[server] cors_origins`, unless that is meant.",
)
ANONYMOUS: Final = Code(
    "security-anonymous",
    State.WARNING,
    "Everybody runs jobs without signing in.",
    "`[auth] anonymous = false`, unless that is meant.",
)
JOB_SERVERS: Final = Code(
    "security-job-servers",
    State.WARNING,
    "Very many addresses may report events without a token, which cost time.",
    "Name the schedulers alone in `[auth] job_servers`.",
)
FETCH: Final = Code(
    "security-fetch",
    State.WARNING,
    "Users have this server fetch from all public addresses.",
    "Name the hosts in `[jobs] fetch_hosts`, unless that is meant.",
)
SERVICES: Final = Code(
    "security-services-plain",
    State.ERROR,
    "A service in `[client] servers` is asked over http: what users sign in with can be read.",
    "Name its https address.",
)
SERVICES_OPEN: Final = Code(
    "security-services-anonymous",
    State.WARNING,
    "Everybody asks the services of `[client]` by way of this server.",
    "`[auth] anonymous = false`, unless that is meant.",
)
NO_ACCOUNTS: Final = Code(
    "security-no-accounts",
    State.WARNING,
    "The storage keeps no accounts, so nobody is known.",
    "Take a storage that does, or have the web server in front name users.",
)
NO_ADMIN: Final = Code(
    "security-no-admin",
    State.WARNING,
    "Nobody is an admin.",
    "`opus user add NAME --role admin`.",
)
TOKEN: Final = Code(
    "security-token-lasting",
    State.WARNING,
    "A token acts as an admin for longer than a year, or for good.",
    "Revoke it (`opus token revoke`), and make one that expires.",
)
LIMITS: Final = Code(
    "security-limits",
    State.WARNING,
    "One user can fill the cluster or the disk.",
    "Set `max_active_per_user`, `max_per_hour_per_user`, `max_bytes_per_user` in `[jobs]`.",
)
ROOT: Final = Code(
    "security-root",
    State.WARNING,
    "Root runs this command, and may run the server as well.",
    "Give the server a system user of its own.",
)
MASTERS: Final = Code(
    "security-configuration-owner",
    State.WARNING,
    "Somebody else than root may change what a supervisor does that is root.",
    "Keep `opus.toml` in a folder that is root's, as /etc/opus.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """What `--security` adds: one line for each question, in the order of docs/security.md."""
    config, storage = installation.config, installation.storage
    if config is None:
        return
    yield from _connection(config)
    yield from _callers(config)
    yield from _services(config)
    if installation.people is not None:
        yield from _accounts(installation.people)
    elif storage is not None and storage.accounts() is None:
        yield NO_ACCOUNTS("accounts", f"the {storage.name} storage keeps none")
    yield from _limits(config)
    yield from _process(by_root=installation.by_root)
    if installation.by_root:
        yield from _masters(config.path)


def _connection(config: Config) -> Iterator[Finding]:
    if config.private:
        yield ok("https", "only this machine can reach the server")
    elif (config.base_url or "").startswith("https://"):
        yield ok("https", f"users reach it at {config.base_url}")
    else:
        yield HTTPS(
            "https",
            "others can listen: put a web server with TLS in front, and set base_url to its https"
            " address",
        )
    if "*" in config.server.cors_origins:
        yield CORS("cors_origins", "pages of all sites may do what anonymous users may")


def _callers(config: Config) -> Iterator[Finding]:
    if not config.anonymous:
        yield ok("anonymous", "nobody runs jobs without signing in")
    elif config.private:
        yield ok("anonymous", "everybody on this machine runs jobs without signing in")
    else:
        yield ANONYMOUS("anonymous", "everybody runs jobs without signing in")
    servers = [entry for entry in config.auth.job_servers if size(entry) > WIDE]
    if servers:
        yield JOB_SERVERS(
            "job_servers",
            f"{', '.join(servers)}: all of them may report events, which cost time",
        )
    if "public" in config.jobs.fetch_hosts:
        yield FETCH("fetch_hosts", "users have this server fetch from all public addresses")


def _services(config: Config) -> Iterator[Finding]:
    every = config.client.services.every if config.client.merge else ()
    plain = [one.url for one in every if not one.origin.is_private]
    if plain:
        yield SERVICES(
            "servers",
            f"{', '.join(plain)}: what users sign in with there can be read on its way; name the"
            " https addresses in [client]",
        )
    if every and config.anonymous and not config.private:
        yield SERVICES_OPEN(
            "servers", "everybody asks the services of [client] by way of this server"
        )


def _accounts(people: People) -> Iterator[Finding]:
    accounts = people.all()
    admins = [one.name for one in accounts if one.active and "admin" in one.roles]
    if admins:
        yield ok("admins", ", ".join(admins))
    else:
        yield NO_ADMIN("admins", "there is none; `opus user add NAME --role admin` makes one")
    now = jobs.now()
    for account in accounts:
        for token in people.tokens.of(account.name):
            lasting = token.expires is None or token.expires - now > _LONG
            if lasting and account.active and "admin" in token.scopes:
                yield TOKEN(
                    f"token {token.prefix}",
                    f"acts as {account.name}, an admin, for longer than a year; make one that"
                    " expires",
                )


def _limits(config: Config) -> Iterator[Finding]:
    names = ("max_active_per_user", "max_per_hour_per_user", "max_bytes_per_user")
    absent = [name for name in names if getattr(config.jobs, name) is None]
    if config.private or not absent:
        yield ok("limits", "of jobs and bytes are as [jobs] says")
    else:
        yield LIMITS(
            "limits",
            f"one user can fill the cluster or the disk: set {', '.join(absent)}",
        )


def _process(*, by_root: bool) -> Iterator[Finding]:
    if by_root:
        yield ROOT(
            "user",
            "you are root: if the server is run so, too, give it a system user of its own",
        )
    else:
        yield ok("user", "you are not root, and the server need not be")


def _masters(file: Path | None) -> Iterator[Finding]:
    """Who, but for root, owns the file or its folder."""
    if file is None:
        return
    owners = {one.stat().st_uid for one in (file, file.parent)} - {0}
    if owners:
        others = ", ".join(sorted(map(system_name, owners)))
        yield MASTERS(
            "configuration",
            f"{others} may change {file}, and so what a supervisor does that is root: keep it in a"
            " folder that is root's, as /etc/opus",
        )


def size(network: str) -> int:
    return int(ip_network(network).num_addresses)
