"""What an auditor would ask of an installation: `opus check --security`."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from opus_core import job as jobs
from opus_core.app import Opus
from opus_core.auth.people import People
from opus_core.commands.finding import Finding
from opus_core.commands.user import system_name
from opus_core.config import Config

_LONG: Final = timedelta(days=400)  # that a token is good for
_WIDE: Final = 2**16  # addresses


def findings(opus: Opus) -> Iterator[Finding]:
    """One line for each question, in the order of docs/security.md."""
    config = opus.config
    yield from _connection(config)
    yield from _callers(config)
    yield from _services(config)
    if opus.people is None:
        yield Finding("warning", "accounts", f"the {opus.storage.name} storage keeps none")
    else:
        yield from _accounts(opus.people)
    yield from _limits(config)
    yield from _process(config)
    yield from _files(opus)


def _connection(config: Config) -> Iterator[Finding]:
    if config.private:
        yield Finding("ok", "https", "only this machine can reach the server")
    elif (config.base_url or "").startswith("https://"):
        yield Finding("ok", "https", f"users reach it at {config.base_url}")
    else:
        yield Finding(
            "error",
            "https",
            "others can listen: put a web server with TLS in front, and set base_url to its https"
            " address",
        )
    proxies = [entry for entry in config.server.trusted_proxies if _size(entry) > _WIDE]
    if proxies:
        yield Finding(
            "error",
            "trusted_proxies",
            f"{', '.join(proxies)}: whoever calls from there may say to be anybody; name the"
            " proxies alone",
        )
    if "*" in config.server.cors_origins:
        yield Finding(
            "warning", "cors_origins", "pages of all sites may do what anonymous users may"
        )


def _callers(config: Config) -> Iterator[Finding]:
    if not config.anonymous:
        yield Finding("ok", "anonymous", "nobody runs jobs without signing in")
    elif config.private:
        yield Finding("ok", "anonymous", "everybody on this machine runs jobs without signing in")
    else:
        yield Finding("warning", "anonymous", "everybody runs jobs without signing in")
        if config.anonymous_list:
            yield Finding(
                "error",
                "anonymous_list",
                "the list tells everybody the ids of anonymous jobs, which is all it takes to read"
                " and delete them",
            )
    servers = [entry for entry in config.auth.job_servers if _size(entry) > _WIDE]
    if servers:
        yield Finding(
            "warning",
            "job_servers",
            f"{', '.join(servers)}: all of them may report events, which cost time",
        )
    if "public" in config.jobs.fetch_hosts:
        yield Finding(
            "warning", "fetch_hosts", "users have this server fetch from all public addresses"
        )


def _services(config: Config) -> Iterator[Finding]:
    every = config.client.services.every if config.client.merge else ()
    plain = [one.url for one in every if not one.origin.is_private]
    if plain:
        yield Finding(
            "error",
            "servers",
            f"{', '.join(plain)}: what users sign in with there can be read on its way; name the"
            " https addresses in [client]",
        )
    if every and config.anonymous and not config.private:
        yield Finding(
            "warning", "servers", "everybody asks the services of [client] by way of this server"
        )


def _accounts(people: People) -> Iterator[Finding]:
    accounts = people.all()
    admins = [one.name for one in accounts if one.active and "admin" in one.roles]
    if admins:
        yield Finding("ok", "admins", ", ".join(admins))
    else:
        yield Finding(
            "warning", "admins", "there is none; `opus user add NAME --role admin` makes one"
        )
    now = jobs.now()
    for account in accounts:
        for token in people.tokens.of(account.name):
            lasting = token.expires is None or token.expires - now > _LONG
            if lasting and account.active and "admin" in token.scopes:
                yield Finding(
                    "warning",
                    f"token {token.prefix}",
                    f"acts as {account.name}, an admin, for longer than a year; make one that"
                    " expires",
                )


def _limits(config: Config) -> Iterator[Finding]:
    names = ("max_active_per_user", "max_per_hour_per_user", "max_bytes_per_user")
    absent = [name for name in names if getattr(config.jobs, name) is None]
    if config.private or not absent:
        yield Finding("ok", "limits", "of jobs and bytes are as [jobs] says")
    else:
        yield Finding(
            "warning",
            "limits",
            f"one user can fill the cluster or the disk: set {', '.join(absent)}",
        )


def _process(config: Config) -> Iterator[Finding]:
    if config.debug and not config.private:
        yield Finding("error", "debug", "error pages show the inside of the program to everybody")
    if os.geteuid() == 0:
        yield Finding(
            "warning",
            "user",
            "you are root: if the server is run so, too, give it a system user of its own",
        )
    else:
        yield Finding("ok", "user", "you are not root, and the server need not be")


def _files(opus: Opus) -> Iterator[Finding]:
    options = opus.storage.options
    paths = [opus.data_dir.path, opus.folders.root, opus.config.log_file]
    paths += [getattr(options, field.name) for field in dataclasses.fields(options)]
    for path in (found := [one for one in paths if isinstance(one, Path) and _is_open(one)]):
        yield Finding(
            "error", "files", f"every user of this machine may look into {path}: chmod o= {path}"
        )
    file = opus.config.path
    if file is not None and file.stat().st_mode & stat.S_IWOTH:
        found.append(file)
        yield Finding(
            "error", "files", f"every user of this machine may change {file}: chmod o-w {file}"
        )
    if file is not None and os.geteuid() == 0 and (others := _masters(file)):
        yield Finding(
            "warning",
            "configuration",
            f"{', '.join(others)} may change {file}, and so what a supervisor does that is root:"
            " keep it in a folder that is root's, as /etc/opus",
        )
    if not found:
        yield Finding("ok", "files", "are closed to other users of this machine")


def _is_open(path: Path) -> bool:
    """Whether those who are neither owner nor of the group may read or change it, or find something
    in it that they may. To pass through (`o+x`), as jobs of another user have to, is no harm."""
    try:
        mode = path.stat().st_mode
        inside = list(path.iterdir()) if path.is_dir() and mode & stat.S_IXOTH else []
    except OSError:
        return False
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        return True
    return any(one.is_file() and one.stat().st_mode & stat.S_IRWXO for one in inside)


def _masters(file: Path) -> list[str]:
    """Who, but for root, owns the file or its folder."""
    owners = {one.stat().st_uid for one in (file, file.parent)} - {0}
    return sorted(map(system_name, owners))


def _size(network: str) -> int:
    return int(ip_network(network).num_addresses)
