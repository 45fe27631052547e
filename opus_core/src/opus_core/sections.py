"""The tables of `opus.toml`: every key with its type, its default and what it is for.

`opus_core.settings` fills them and explains the metadata; tables in the documentation and the
commented file of `opus init` are made from them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from opus_core import elsewhere
from opus_core.elsewhere import Services
from opus_core.hosts import parse
from opus_core.values import is_loopback

T = TypeVar("T")

_MIB: Final = 1024**2
_GIB: Final = 1024**3
# A name as DNS has it; one whose last part is a number is an address, or a mistake in one.
_HOST: Final = re.compile(r"(?:[\w-]{1,63}\.)*(?!\d+\.?$)[\w-]{1,63}\.?")
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_SENDFILE: Final = re.compile(r"x-sendfile|x-accel-redirect:/(?:[A-Za-z0-9_.~-]+/)+")


def option(default: T, help_: str, **metadata: object) -> T:
    return field(default=default, metadata={"help": help_, **metadata})


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """[server]: the embedded web server, and what it believes of a request."""

    host: str = option("127.0.0.1", "Address to listen on.")
    port: int = option(8080, "Port to listen on; 0: any that is free.", least=0, most=65535)
    threads: int = option(64, "Requests answered at once, waiting ones included.", least=2)
    wait_slots: int | None = option(
        None, "Requests that may wait (WAIT) at once; absent: half of threads.", least=0
    )
    wait_per_user: int | None = option(
        None, "Requests of one user that may wait; absent: a quarter of wait_slots.", least=0
    )
    event_url: str | None = option(
        None,
        "Where jobs report their start and end, as compute nodes reach this server; "
        "absent: base_url, or else the loopback address of `opus serve`.",
    )
    trusted_proxies: tuple[str, ...] = option(
        (),
        "Addresses or networks of proxies in front, whose X-Forwarded-* headers are believed; "
        "none: nobody's are.",
    )
    cors_origins: tuple[str, ...] = option(
        (), 'Origins whose pages may use this server, such as "https://portal.example.org", or "*".'
    )
    sendfile: str | None = option(
        None,
        'How the web server in front sends results: "x-sendfile" (Apache, lighttpd), or '
        '"x-accel-redirect:/PREFIX/" (nginx), where it has the job folders below /PREFIX/; '
        "absent: this program sends them.",
    )
    max_body: int = option(16 * _MIB, "Largest request without files.", unit="bytes", least=1024)

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError('host is empty; write "0.0.0.0" to listen on every address')
        if not _is_host(self.host):
            raise ValueError(
                f"host: {self.host!r} is neither an address, such as 192.0.2.7 or ::1, nor the"
                " name of a host"
            )
        if self.wait_slots is not None and self.wait_slots >= self.threads:
            raise ValueError(
                f"wait_slots ({self.wait_slots}) must be less than threads ({self.threads}), "
                "or waiting clients would leave no thread to answer the others"
            )
        check_url("event_url", self.event_url)
        check_networks("trusted_proxies", self.trusted_proxies)
        if self.sendfile is not None and not _SENDFILE.fullmatch(self.sendfile):
            raise ValueError(
                f'sendfile: {self.sendfile!r} is neither "x-sendfile" nor'
                ' "x-accel-redirect:/PREFIX/"'
            )
        for origin in self.cors_origins:
            if origin != "*" and (urlsplit(origin).path or not _is_url(origin)):
                raise ValueError(
                    f'cors_origins: {origin!r} is not an origin, such as "https://example.org"'
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """[supervisor]: the one that hands jobs to the manager and watches them."""

    embedded: bool | None = option(
        None,
        "Whether the web server supervises too; absent: yes for `opus serve`, no under WSGI, "
        "where `opus supervise` runs beside it.",
    )
    poll_interval: float | None = option(
        None,
        "Seconds between two questions to the scheduler; absent: what its manager advises.",
        unit="seconds",
        least=0.1,
    )
    event_interval: float = option(
        0.0, "Least time between two questions that events give rise to.", unit="seconds", least=0
    )
    lease_seconds: float = option(
        15.0, "How long a supervisor that is gone keeps others out.", unit="seconds", least=2
    )
    grace: float = option(
        90.0,
        "How long the record of a job's end, or the scheduler's word on it, may be late.",
        unit="seconds",
        least=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """[client]: the web pages."""

    merge: bool = option(
        True,
        "Whether this server has pages for browsers; without, it has the API alone, and `opus "
        "client` elsewhere may have the pages.",
    )
    servers: tuple[str, ...] = option(
        (),
        "UWS services elsewhere that the pages are for as well, by their job lists, or servers "
        "with several.",
    )
    samp: bool = option(
        True,
        "Whether pages can send results to programs on their reader's machine, such as TOPCAT "
        "(SAMP); they may connect to its port 21012 then.",
    )
    host: str = option("127.0.0.1", "Address that `opus client` listens on.")
    port: int = option(8081, "Port of `opus client`; 0: any that is free.", least=0, most=65535)

    def __post_init__(self) -> None:
        if not _is_host(self.host):
            raise ValueError(
                f"host: {self.host!r} is neither an address, such as 192.0.2.7 or ::1, nor the"
                " name of a host"
            )
        for server in self.servers:
            check_url("servers", server)
        try:
            elsewhere.parse(self.servers)
        except ValueError as error:
            raise ValueError(f"servers: {error}") from error

    @property
    def services(self) -> Services:
        """Those at `servers`."""
        return elsewhere.parse(self.servers)

    @property
    def private(self) -> bool:
        """Only this machine can ask `opus client`."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """[storage], [manager], [jdl]: the back end in use; the rest of the table is its own."""

    use: str = field(
        metadata={"help": "Name of the back end; `opus plugins` lists those that are installed."}
    )
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """[jobs]: what a job may take, and how long it is kept."""

    folder: Path | None = field(
        default=None, metadata={"help": "Where job folders lie; absent: `jobs` in data_dir."}
    )
    execution_duration: int = option(
        3600,
        "Execution duration of a job whose description says nothing; 0: no limit.",
        unit="seconds",
        least=0,
    )
    execution_duration_max: int = option(
        0, "Longest execution duration a user may ask for; 0: any.", unit="seconds", least=0
    )
    destruction_days: int = option(
        30, "Days from creation to destruction; 0: never.", least=0, most=36500
    )
    destruction_days_max: int = option(
        365, "Most days a user may ask for; 0: any.", least=0, most=36500
    )
    max_wait: int = option(
        60, "Longest time a request may wait (WAIT).", unit="seconds", least=0, most=3600
    )
    max_active_per_user: int | None = option(
        None, "Jobs of one user queued or running at once; absent: any number.", least=1
    )
    max_per_hour_per_user: int | None = option(
        None, "Jobs one user may create in an hour; absent: any number.", least=1
    )
    max_bytes_per_user: int | None = option(
        None, "Uploads and results one user may keep; absent: any size.", unit="bytes", least=1
    )
    max_upload: int = option(
        2 * _GIB, "Files of one request, taken together.", unit="bytes", least=0
    )
    max_files: int = option(100, "Files in one request.", least=0)
    fetch_hosts: tuple[str, ...] = option(
        (),
        "Hosts from which inputs given as URLs are fetched: names, which may be within the site, "
        '"*.example.org", networks, and "public" for all public addresses; none: nothing is.',
    )
    fetch_time: float = option(
        600.0, "Longest time that fetching one input may take.", unit="seconds", least=1
    )
    archive: bool = option(
        False, "At its destruction time, keep the job's record (ARCHIVED) and remove its results."
    )
    min_free: int = option(
        256 * _MIB,
        "Nothing is submitted, and no large body taken, while the disk has less free.",
        unit="bytes",
        least=0,
    )
    overuse_is_error: bool = option(
        False,
        "The phase of a job beyond its time or memory; false: ABORTED, as UWS has it, "
        "true: ERROR, as the original OPUS had it.",
    )

    def __post_init__(self) -> None:
        try:
            parse(self.fetch_hosts)
        except ValueError as error:
            raise ValueError(f"fetch_hosts: {error}") from error
        for name in ("execution_duration", "destruction_days"):
            value, most = getattr(self, name), getattr(self, f"{name}_max")
            if most and not 0 < value <= most:
                raise ValueError(
                    f"{name} ({value or '0, no limit'}) is beyond {name}_max ({most}); set both"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """[auth]: who may ask."""

    anonymous: bool | None = option(
        None,
        "Whether anybody may run jobs without signing in; absent: no, but yes while there is no "
        "[auth] table and `opus serve` listens on loopback.",
    )
    anonymous_list: bool | None = option(
        None,
        "Whether anybody may list the jobs of anonymous users; absent: as above.",
    )
    job_servers: tuple[str, ...] = option(
        (), "Addresses or networks of schedulers that may report events without a token."
    )
    anonymous_active: int | None = option(
        None,
        "Jobs of one address, queued or running at once, while nobody is signed in; absent: as "
        "many as a user's.",
        least=1,
    )
    anonymous_per_hour: int | None = option(
        None, "Jobs that one address may create in an hour; absent: as many as a user.", least=1
    )
    anonymous_bytes: int | None = option(
        None,
        "Uploads and results one address may keep; absent: as much as a user.",
        unit="bytes",
        least=1,
    )
    passwords: bool = option(
        False,
        "Whether users may have passwords here; without, they sign in by a token, by a one-time "
        "link, or by the web server in front.",
    )
    user_header: str | None = option(
        None,
        'Header in which a proxy of trusted_proxies names the user, such as "X-Remote-User"; '
        "absent: none does.",
    )
    session_idle: int = option(
        4 * 3600, "Unused for so long, a browser's session ends.", unit="seconds", least=60
    )
    session_max: int = option(
        7 * 86400, "So long after signing in it ends at latest.", unit="seconds", least=60
    )
    audit_kept: int = option(
        400 * 86400,
        "How long the record of who did what is kept; 0: for good.",
        unit="seconds",
        least=0,
    )
    publishers_publish: bool = option(
        False, "Whether publishers may publish descriptions themselves; false: admins do."
    )

    def __post_init__(self) -> None:
        check_networks("job_servers", self.job_servers)
        if self.user_header is not None and not _HEADER.fullmatch(self.user_header):
            raise ValueError(
                f'user_header: {self.user_header!r} is no name of a header, such as "X-Remote-User"'
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins:
    """[plugins]: what is installed but not wanted; [plugins.NAME] has the options of the
    extension NAME."""

    disabled: tuple[str, ...] = option(
        (), "Plugins that are not loaded, as `opus plugins` names them."
    )
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return text == "*" or bool(_HOST.fullmatch(text))
    return True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        usable = parts.port != 0
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    return usable and plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def check_url(name: str, url: str | None) -> None:
    if url is not None and not _is_url(url):
        raise ValueError(f"{name}: {url!r} is not a URL of http or https without a query")


def check_networks(name: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ValueError(
                f"{name}: {network!r} is no address or network, such as 192.0.2.7 or 192.0.2.0/24"
            ) from error
