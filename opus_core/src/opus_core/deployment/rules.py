"""What each file for Apache, nginx and systemd has to say, and each setting in it to be."""

from __future__ import annotations

import itertools
import os
import pwd
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from opus_core.config import Config
from opus_core.deployment import parts
from opus_core.deployment.files import PATIENCE, backend, largest

# os.path says no where one may not look, and Path raises.

Rule = Callable[[Config, str], Iterator[str]]
"""Says what is wrong with a text, a sentence each."""

_APACHE_TIMEOUT: Final = 60.0  # [s]
_APACHE_BODY: Final = 2**30  # [byte]; of Apache 2.4.54 and later
_APACHE_USERS: Final = ("www-data", "apache", "http", "wwwrun")  # of Debian, Fedora, Arch, SUSE
_NO_USER: Final = -1
_NGINX_TIMEOUT: Final = 60.0  # [s]
_NGINX_BODY: Final = 2**20  # [byte]


def rule(name: str, text: str) -> Rule:
    """The one for a file of this name and content."""
    if name.endswith(".py"):
        return program
    if name.endswith(".service"):
        return unit
    if "WSGIScriptAlias" in text or "WSGIDaemonProcess" in text:
        return mod_wsgi
    return apache_proxy if "ProxyPass" in text else nginx


def program(config: Config, text: str) -> Iterator[str]:
    """`wsgi.py`."""
    try:
        named = list(parts.program(text))
    except SyntaxError as error:
        yield f"line {error.lineno} is no Python: {error.msg}"
        return
    yield from _same(config, named)


def mod_wsgi(config: Config, text: str) -> Iterator[str]:
    """Apache with mod_wsgi."""
    blocks = parts.apache(text)
    found = dict(directive for block in blocks for directive in block.own)  # <Directory> has some
    found |= dict(parts.valid_where(blocks, "wsgidaemonprocess", ""))
    for name, value, why in (
        ("WSGIPassAuthorization", "On", "no password and no token reaches OPUS"),
        ("WSGIChunkedRequest", "On", "uploads of clients that send in chunks are refused (411)"),
        ("WSGIApplicationGroup", "%{GLOBAL}", "libraries in C, such as lxml, may hang"),
    ):
        if " ".join(found.get(name.lower(), ())).lower() != value.lower():
            yield f"without the line `{name} {value}` {why}; add it"
    if (words := found.get("wsgidaemonprocess")) is None:
        yield "without WSGIDaemonProcess OPUS runs within Apache's own processes; add it"
        return
    daemon = parts.options(words)
    if (home := daemon.get("python-home")) is None:
        yield f"WSGIDaemonProcess does not say which Python has OPUS; add python-home={sys.prefix}"
    elif not os.path.isdir(home):
        yield f"python-home={home} is not there; OPUS is in {sys.prefix}"
    elif Path(home).resolve() != Path(sys.prefix).resolve():
        yield f"python-home={home} is another Python than this one; OPUS is in {sys.prefix}"
    threads = daemon.get("threads", "15")
    if threads != str(config.server.threads):
        yield (
            f"WSGIDaemonProcess has threads={threads}, and [server] threads is"
            f" {config.server.threads}: {config.wait_slots} requests may wait at once; give both"
            " the same number"
        )
    if daemon.get("processes") == "1":
        yield "processes=1, written out, counts as several to mod_wsgi; leave it out"
    yield from _patience(config, "socket-timeout", daemon.get("socket-timeout"), _APACHE_TIMEOUT)
    yield from _room(config, "LimitRequestBody", found.get("limitrequestbody"), _APACHE_BODY)
    yield from _home(daemon)
    if "user" in daemon:
        yield from _user(config, daemon["user"])
    for program in found.get("wsgiscriptalias", ())[1:2]:
        if not os.path.isfile(program):
            yield f"WSGIScriptAlias names {program}, which is not there"


def passage(text: str) -> Iterator[str]:
    """Apache itself looks for the program before it leaves it to the daemon."""
    for block in parts.apache(text):
        for name, words in block.own:
            if name == "wsgiscriptalias" and words[1:]:
                yield from _passage(Path(words[1]))


def _passage(program: Path) -> Iterator[str]:
    user = next(filter(None, map(_known, _APACHE_USERS)), None)
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid)) if user else set()
    with suppress(OSError):  # not there, which has been told, or not ours to look at
        if closed := _closed(program, 0, user.pw_uid if user else _NO_USER, groups):
            name = f" ({user.pw_name})" if user else ""
            yield (
                f"Apache's own user{name} may not come to {program}, so all requests are answered"
                f" 403: chmod o+x {closed}"
            )


def _home(daemon: dict[str, str]) -> Iterator[str]:
    """The folder in which the daemon starts."""
    if (home := daemon.get("home")) is not None:
        if not os.path.isdir(home):
            yield f"home={home} is not there, so WSGIDaemonProcess does not start; name a folder"
    elif (user := _known(daemon.get("user", ""))) and not os.path.isdir(user.pw_dir):
        yield (
            f"WSGIDaemonProcess has no home, and {user.pw_dir}, which {user.pw_name} should have,"
            " is not there, so it does not start; add home= and a folder"
        )


def _known(name: str) -> pwd.struct_passwd | None:
    with suppress(KeyError):
        return pwd.getpwnam(name)
    return None


def apache_proxy(config: Config, text: str) -> Iterator[str]:
    """Apache as a proxy."""
    directives = parts.valid_where(parts.apache(text), "proxypass", backend(config))
    found = dict(directives)
    to = [words for name, words in directives if name == "proxypass"]
    yield from _target(config, "ProxyPass", [word for words in to for word in words])
    timeout = parts.options(to[0]).get("timeout") if to else None
    yield from _patience(config, "timeout in ProxyPass", timeout, _APACHE_TIMEOUT)
    yield from _room(config, "LimitRequestBody", found.get("limitrequestbody"), _APACHE_BODY)
    set_ = {words[1].lower() for name, words in directives if name == "requestheader" and words[1:]}
    yield from _headers(config, set_, "RequestHeader set")


def nginx(config: Config, text: str) -> Iterator[str]:
    """nginx as a proxy."""
    directives = parts.valid_where(parts.nginx(text), "proxy_pass", backend(config))
    found = dict(directives)
    yield from _target(config, "proxy_pass", list(found.get("proxy_pass", ())))
    timeout = found.get("proxy_read_timeout")
    said = None if timeout is None else " ".join(timeout)
    yield from _patience(config, "proxy_read_timeout", said, _NGINX_TIMEOUT)
    limit = found.get("client_max_body_size")
    yield from _room(config, "client_max_body_size", limit, _NGINX_BODY)
    if found.get("proxy_request_buffering") != ("off",):
        yield "nginx keeps each upload before OPUS sees it; add `proxy_request_buffering off;`"
    set_ = {words[0].lower() for name, words in directives if name == "proxy_set_header" and words}
    yield from _headers(config, set_, "proxy_set_header")


def unit(config: Config, text: str) -> Iterator[str]:
    """A unit of systemd."""
    settings = parts.unit(text)
    if settings.get("KillMode") != "process" and config.manager.use == "local":
        yield "without KillMode=process a stop or restart kills all jobs that run; add it"
    words = parts.command(settings.get("ExecStart", "").lstrip("@-:+!"))
    if not words or not os.access(words[0], os.X_OK):
        yield f"ExecStart names {words[0] if words else 'nothing'}, which is no program here"
    pairs = itertools.pairwise(words)
    yield from _same(config, [after for word, after in pairs if word == "--config"])
    user = settings.get("User", "root")
    if user in ("root", "0"):
        if "run_as" not in config.manager.options:
            yield "it runs as root; give it a system user of its own, by User="
    else:
        yield from _user(config, user)


# -- what several of them have


def _same(config: Config, named: list[str]) -> Iterator[str]:
    """They go by the configuration that is looked at."""
    for name in named:
        if config.path is None or Path(name).resolve() != config.path.resolve():
            yield f"it goes by {name}, and not by {config.path}; let it name the one that counts"


def _patience(config: Config, name: str, value: str | None, default: float) -> Iterator[str]:
    """A time-out has to be longer than the longest WAIT."""
    time = default if value is None else parts.seconds(value)
    longest = config.jobs.max_wait
    if time is None:
        yield f"{name} is {value}, which is no time; write {longest + PATIENCE}"
    elif 0 < time <= longest:
        said = f"absent, so {default:g} s" if value is None else f"{time:g} s"
        yield (
            f"{name} is {said}, and [jobs] max_wait {longest} s: who waits is cut off; write"
            f" {longest + PATIENCE}"
        )


def _room(config: Config, name: str, words: tuple[str, ...] | None, default: int) -> Iterator[str]:
    """A limit of bodies lets through what OPUS takes."""
    limit = default if words is None else parts.size(" ".join(words))
    least = largest(config)
    if limit is None:
        yield f"{name} is {' '.join(words or ())}, which is no size; write {least}"
    elif 0 < limit < least:
        said = f"absent, so {default} bytes" if words is None else f"{limit} bytes"
        yield (
            f"{name} is {said}, less than [jobs] max_upload and [server] max_body together; write"
            f" {least}"
        )


def _target(config: Config, name: str, words: list[str]) -> Iterator[str]:
    """The proxy asks `opus serve`, where that listens."""
    targets = [word.rstrip("/") for word in words if word.startswith(("http://", "https://"))]
    wanted = backend(config)
    same = {
        wanted,
        wanted.replace("127.0.0.1", "localhost"),
        wanted.replace("localhost", "127.0.0.1"),
    }
    for target in targets:
        if not same & {target} and not target.startswith(tuple(f"{one}/" for one in same)):
            yield f"{name} leads to {target}, and `opus serve` listens at {wanted}"


def _headers(config: Config, written: set[str], how: str) -> Iterator[str]:
    """What is believed of a proxy, it must not pass on from clients."""
    if not config.server.trusted_proxies:
        return
    believed = [f"X-Forwarded-{word}" for word in ("For", "Proto", "Host", "Port", "Prefix")]
    believed += [config.auth.user_header] if config.auth.user_header else []
    passed = [name for name in believed if name.lower() not in written]
    if passed:
        yield (
            f"{', '.join(passed)} of clients would be believed like the proxy's own; set or remove"
            f" each by {how}"
        )


def _user(config: Config, name: str) -> Iterator[str]:
    """The user is there, and can read and write what the server has to."""
    try:
        who = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        yield f"there is no system user {name}"
        return
    groups = set(os.getgrouplist(who.pw_name, who.pw_gid))
    for path, needed, what in (
        ((config.path or config.base).absolute(), 4, "read"),
        (config.data_dir, 7, "write to"),
        (config.jobs_folder, 7, "write to"),
    ):
        with suppress(OSError):  # not there yet, or not ours to look at
            closed = _closed(path, needed, who.pw_uid, groups)
            if closed is None:
                continue
            way = f": {closed} is closed to it" if closed != path else ""
            yield f"the user {name} may not {what} {path}{way}; change its owner, or its mode"
            return


def _closed(path: Path, needed: int, uid: int, groups: set[int]) -> Path | None:
    """What keeps the user from a path; None if nothing does, as far as modes say."""
    if uid == 0:
        return None
    for one in (*reversed(path.parents), path):
        status = one.stat()
        shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
        rights = needed if one == path else 1
        if (stat.S_IMODE(status.st_mode) >> shift) & rights != rights:
            return one
    return None
