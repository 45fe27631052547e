"""What plugins answer below `/plugins/NAME`: their WSGI applications, behind our own door."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import bottle

from opus_core.auth.origin import SAFE
from opus_core.errors import NotAuthenticated, NotFound
from opus_core.routes.application import AS_SENT
from opus_core.routes.asking import Asked
from opus_core.routes.reply import TEXT, reply

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PREFIX: Final = "/plugins"

_MOUNT: Final = re.compile(rf"/*{PREFIX}/+[^/]+")

Headers = list[tuple[str, str]]


def answer(asked: Asked, plugin: str, rest: str = "") -> bottle.HTTPResponse:
    """The answer of the plugin of that name. Raises `NotFound`, `NotAuthenticated`, `NotAllowed`,
    and what the plugin raises."""
    routes = asked.parts.mounted.get(plugin)
    if routes is None:
        raise NotFound(f"no plugin here answers at {PREFIX}/{plugin}")
    if not routes.anonymous:
        if asked.user.anonymous:
            raise NotAuthenticated(f"{PREFIX}/{plugin} is for known users; sign in")
        changes = str(asked.environ.get("REQUEST_METHOD")) not in SAFE
        asked.parts.policy.may_use(asked.user, changes=changes)
    environ = dict(asked.environ)
    sent = str(environ[AS_SENT])
    mount = _MOUNT.match(sent)
    behind = sent[mount.end() :] if mount else ""
    name = (mount[0] if mount else "").rpartition("/")[2]
    environ["SCRIPT_NAME"] = f"{environ.get('SCRIPT_NAME', '')}{PREFIX}/{name}"
    environ["PATH_INFO"] = behind
    environ["opus.user"] = asked.user
    return _called(routes.application, environ)


def _called(
    application: Callable[..., Iterable[bytes]], environ: dict[str, Any]
) -> bottle.HTTPResponse:
    body = _Body(application, environ)
    status, headers = body.begun
    response = reply(body if body.first else b"", TEXT, status=int(status[:3]))
    for name in {name.title() for name, _ in headers}:
        response.headers.pop(name, None)
    for name, value in headers:
        response.add_header(name, _text(value))
    return response


class _Body:
    """The other half of PEP 3333: what an application answers, read until it has said its status
    and something else, or ended."""

    def __init__(
        self, application: Callable[..., Iterable[bytes]], environ: dict[str, Any]
    ) -> None:
        self._begun: list[tuple[str, Headers]] = []
        self._written: list[bytes] = []
        self._body = application(environ, self._start)
        try:
            self._chunks = iter(self._body)
            self.first = next((chunk for chunk in self._chunks if chunk), b"")
            self.first = b"".join((*self._written, self.first))
            if not self._begun:
                raise RuntimeError("an application has answered without a status")
        except BaseException:
            self.close()
            raise
        if not self.first:
            self.close()

    @property
    def begun(self) -> tuple[str, Headers]:
        """Status and headers; the last ones, where an error has replaced others."""
        return self._begun[-1]

    def _start(self, status: str, headers: Headers, error: Any = None) -> Callable[[bytes], None]:  # noqa: ANN401
        self._begun.append((status, headers))
        return self._written.append

    def __iter__(self) -> Iterator[bytes]:
        yield self.first
        yield from self._chunks

    def close(self) -> None:
        """As PEP 3333 has it called, whatever became of the answer."""
        if close := getattr(self._body, "close", None):
            close()


def _text(header: str) -> str:
    """A header as bottle takes it, which encodes what WSGI has encoded already."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
