"""What plugins answer below `/plugins/NAME`: their WSGI applications, behind our own door."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import bottle

from opus_core.errors import NotAuthenticated, NotFound
from opus_core.routes.asking import Asked
from opus_core.routes.reply import TEXT, reply

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PREFIX: Final = "/plugins"


def answer(asked: Asked, plugin: str, rest: str = "") -> bottle.HTTPResponse:
    """The answer of the plugin of that name. Raises `NotFound`, `NotAuthenticated`, and what the
    plugin raises."""
    routes = asked.parts.mounted.get(plugin)
    if routes is None:
        raise NotFound(f"no plugin here answers at {PREFIX}/{plugin}")
    if asked.user.anonymous and not routes.anonymous:
        raise NotAuthenticated(f"{PREFIX}/{plugin} is for known users; sign in")
    environ = dict(asked.environ)
    path = str(environ.get("PATH_INFO", ""))
    behind = path.removeprefix(f"{PREFIX}/").partition("/")
    environ["SCRIPT_NAME"] = f"{environ.get('SCRIPT_NAME', '')}{PREFIX}/{behind[0]}"
    environ["PATH_INFO"] = f"{behind[1]}{behind[2]}"
    environ["opus.user"] = asked.user
    return _called(routes.application, environ)


def _called(
    application: Callable[..., Iterable[bytes]], environ: dict[str, Any]
) -> bottle.HTTPResponse:
    begun: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> None:  # noqa: ANN401
        begun.append((status, headers))

    body = application(environ, start)
    first = b""
    if not begun:  # it may say so only when its body is read (PEP 3333)
        body = iter(body)
        first = next(body, b"")
    status, headers = begun[-1]
    response = reply(_from(first, body), TEXT, status=int(status[:3]))
    for name in {name.title() for name, _ in headers}:
        response.headers.pop(name, None)
    for name, value in headers:
        response.add_header(name, value)
    return response


def _from(first: bytes, rest: Iterable[bytes]) -> Iterable[bytes]:
    """The body, with `close` where it has one."""
    if not first:
        return rest
    return _Continued(first, rest)


class _Continued:
    def __init__(self, first: bytes, rest: Iterable[bytes]) -> None:
        self._first, self._rest = first, rest

    def __iter__(self) -> Any:  # noqa: ANN401
        yield self._first
        yield from self._rest

    def close(self) -> None:
        if close := getattr(self._rest, "close", None):
            close()
