"""The web server: whom it believes and tells too much, what it waits for, who has its port."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from typing import Final

from opus_core.checks import asking
from opus_core.checks.installation import Installation
from opus_core.checks.security import WIDE, size
from opus_core.config import Config
from opus_core.finding import Code, Finding, State, ok

_PROXY: Final = 60  # [s] after which Apache and nginx give up on the server behind them
_BESIDE: Final = 256  # files that are open beside those of requests, see `opus_core.serving`

WITHOUT_TLS: Final = Code(
    "web-without-tls",
    State.WARNING,
    "Others reach the server by http, in plain: nobody signs in from elsewhere, for others could"
    " listen.",
    "Put a web server with TLS in front, and write its https address into `base_url`.",
)
PORT_TAKEN: Final = Code(
    "port-taken",
    State.WARNING,
    "Another program listens on the port that `opus serve` is to listen on.",
    "Choose another `[server] port`; under Apache's mod_wsgi the port is not used.",
)
PROXY_UNTRUSTED: Final = Code(
    "proxy-untrusted",
    State.WARNING,
    "Users come by https and `opus serve` believes no proxy: nobody can sign in, and all users have"
    " the proxy's address.",
    "Name the proxy's address in `[server] trusted_proxies`.",
)
WAITS: Final = Code(
    "wait-longer-than-proxies",
    State.WARNING,
    "Requests may wait (WAIT) for longer than web servers in front wait by default.",
    "Set `[jobs] max_wait` to 60 or less, or the web server's time-out to more.",
)
FEW_FILES: Final = Code(
    "open-files-few",
    State.WARNING,
    "A process may open fewer files here than `[server] threads` need for their connections.",
    "Raise the limit: `LimitNOFILE=` of systemd, `ulimit -n`.",
)

PROXIES: Final = Code(
    "trusted-proxies-wide",
    State.ERROR,
    "`[server] trusted_proxies` has so many addresses that strangers are among them, who may say to"
    " be anybody.",
    "Name the proxies alone.",
)
LISTED: Final = Code(
    "anonymous-list-public",
    State.ERROR,
    "Everybody is told the ids of anonymous jobs, which is all it takes to read and delete them.",
    "`[auth] anonymous_list = false`.",
)
DEBUG: Final = Code(
    "debug-public",
    State.ERROR,
    "Error pages show the inside of the program to everybody.",
    "`debug = false`.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """What the configuration says of the web server, and who listens where it is to listen."""
    config = installation.config
    if config is None or "server" in installation.mistaken:
        return
    yield from _plain(config)
    yield from _wide(config)
    yield from _waits(config)
    yield from _files(config)
    yield from _listener(config)


def _plain(config: Config) -> Iterator[Finding]:
    if config.private or (config.base_url or "").startswith("https://"):
        return
    at = config.base_url or f"http://{config.server.host}:{config.server.port}"
    yield WITHOUT_TLS(
        "base_url",
        f"others reach this server at {at}, in plain, so nobody signs in from elsewhere; put a web"
        " server with TLS in front, and set base_url to its https address",
    )


def _wide(config: Config) -> Iterator[Finding]:
    """What is told, or believed, too widely."""
    proxies = [entry for entry in config.server.trusted_proxies if size(entry) > WIDE]
    if proxies:
        yield PROXIES(
            "trusted_proxies",
            f"{', '.join(proxies)}: whoever calls from there may say to be anybody; name the"
            " proxies alone",
        )
    if config.private:
        return
    if config.anonymous_list:
        yield LISTED(
            "anonymous_list",
            "the list tells everybody the ids of anonymous jobs, which is all it takes to read and"
            " delete them; set anonymous_list = false in [auth]",
        )
    if config.debug:
        yield DEBUG(
            "debug",
            "error pages show the inside of the program to everybody; set debug = false",
        )


def _waits(config: Config) -> Iterator[Finding]:
    if config.jobs.max_wait > _PROXY and config.base_url is not None and not config.private:
        yield WAITS(
            "max_wait",
            f"requests may wait for {config.jobs.max_wait} s, and web servers in front give up"
            f" after {_PROXY} s by default; set [jobs] max_wait to {_PROXY} at most, or their"
            " time-out to more",
        )


def _files(config: Config) -> Iterator[Finding]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _BESIDE + 4 * config.server.threads  # two for each thread, and two connections
    if most != resource.RLIM_INFINITY and most < needed:
        yield FEW_FILES(
            "threads",
            f"a process may open {most} files here, and {config.server.threads} threads need"
            f" {needed}; raise the limit (LimitNOFILE= of systemd, ulimit -n), or lower [server]"
            " threads",
        )


def _listener(config: Config) -> Iterator[Finding]:
    """Whoever listens where `opus serve` is to listen: it, or another program."""
    server = config.server
    if server.port == 0:
        return
    host = "127.0.0.1" if server.host in ("0.0.0.0", "*") else server.host  # noqa: S104
    host = "::1" if host in ("::", "[::]") else host.strip("[]")
    try:
        socket.create_connection((host, server.port), 2.0).close()
    except OSError:
        return  # no server runs, or one under WSGI, which has another's port
    at = f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"
    try:
        is_opus = asking.get_health(at).is_opus
    except (OSError, ValueError):
        is_opus = False
    if not is_opus:
        yield PORT_TAKEN(
            "port",
            f"another program answers at {at}, where `opus serve` is to listen; choose another"
            " [server] port",
        )
        return
    yield ok("server", f"answers at {at}")
    if (config.base_url or "").startswith("https://") and not server.trusted_proxies:
        yield PROXY_UNTRUSTED(
            "trusted_proxies",
            f"users come by {config.base_url}, and the server at {at} believes no proxy, so nobody"
            " can sign in; name the proxy's address in [server] trusted_proxies",
        )
