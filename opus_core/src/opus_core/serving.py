"""The embedded web server: waitress around an application, with or without a supervisor."""

from __future__ import annotations

import errno
import logging
import resource
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

from waitress import wasyncore
from waitress.server import BaseWSGIServer, MultiSocketServer

from opus_core.app import Opus
from opus_core.errors import ConfigError
from opus_core.intake import create_server
from opus_core.spool import Spool
from opus_core.supervisor import Supervisor

log = logging.getLogger(__name__)

_MANY: Final = 100  # connections
_REST: Final = 5e-6  # [s] for each of them
_LAST_ANSWERS: Final = 5.0  # [s] that requests under way have to be answered when it stops
_MOST_FILES: Final = 65536
_FILES_BESIDE: Final = 256  # open files that are no connections, and two for each thread


class Web:
    """A WSGI application, served by waitress until it is closed; a context manager closes it."""

    def __init__(
        self,
        application: Any,  # noqa: ANN401
        spool: Spool,
        *,
        host: str,
        port: int,
        threads: int,
        table: str = "server",
    ) -> None:
        """`table`: of the configuration, in which the address stands."""
        try:
            spool.prepare()
        except OSError as error:
            raise ConfigError(
                f"{spool.folder} cannot be used for what comes in: {error.strerror}"
            ) from error
        try:
            # Any: the published types know nothing of the address that was bound.
            self._server: Any = create_server(
                application,
                spool,
                host=host,
                port=port,
                threads=threads,
                ident="opus",
                connection_limit=_connections(threads),
                asyncore_use_poll=True,  # select() ends at about 1,000 sockets
                clear_untrusted_proxy_headers=False,  # `opus_core.forwarded` sees to them
            )
        except OSError as error:
            other = "host" if error.errno == errno.EADDRNOTAVAIL else "port"
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror};"
                f" choose another [{table}] {other}"
            ) from error
        except ValueError as error:  # waitress's word for a name or a port that is none
            raise ConfigError(
                f"cannot listen on {host}:{port}: that is no address of this machine;"
                f" choose another [{table}] host or port"
            ) from error
        self._thread = threading.Thread(target=self._answer, name="opus-http", daemon=True)
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        if isinstance(self._server, MultiSocketServer):
            host, port = self._server.effective_listen[0]
        else:
            host, port = self._server.effective_host, self._server.effective_port
        shown = "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104  a comparison
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    def begin(self) -> None:
        """Begin to answer; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is being answered."""
        # Answers first, then the sockets: a thread that is still answering needs its own.
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=_LAST_ANSWERS)
        if self._thread.ident is None:
            self._server.close()
            return
        listeners = self._listeners()
        self._closing.set()
        # What wakes the thread is closed here, when the thread has ended: it may be faster, and a
        # number of a closed file soon is that of another file, into which this would write.
        for listener in listeners:
            listener.pull_trigger()
        self._thread.join(timeout=30)
        if not self._thread.is_alive():
            wasyncore.close_all(self._connections(), ignore_all=True)

    def _answer(self) -> None:
        """Serve the connections. At the end an answer may still get out, but a client that only
        keeps its connection open holds nobody up."""
        connections = self._connections()
        while not self._closing.is_set():
            wasyncore.loop(1.0, map=connections, use_poll=True, count=1)
            # It looks at each of them whenever one thread has answered. Of thousands that takes
            # longer than the answer, and the threads that answer need the interpreter as well.
            if len(connections) > _MANY:
                self._closing.wait(len(connections) * _REST)
        for listener in self._listeners():
            wasyncore.dispatcher.close(listener)
        deadline = time.monotonic() + _LAST_ANSWERS
        while _unsent(connections) and time.monotonic() < deadline:
            wasyncore.loop(0.1, map=connections, use_poll=True, count=1)

    def _connections(self) -> dict[int, Any]:
        several = isinstance(self._server, MultiSocketServer)
        found: dict[int, Any] = getattr(self._server, "map" if several else "_map")
        return found

    def _listeners(self) -> list[Any]:
        found = self._connections().values()
        return [one for one in list(found) if isinstance(one, BaseWSGIServer)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Server(Web):
    """Serves one opened installation."""

    def __init__(self, opus: Opus, *, port: int | None = None) -> None:
        settings = opus.config.server
        self._opus = opus
        self._supervisor: Supervisor | None = None
        spool = Spool(
            opus.data_dir.path / "spool",
            largest=opus.form_limits.max_total,
            min_free=opus.config.jobs.min_free,
        )
        super().__init__(
            opus.wsgi(private=opus.config.private),
            spool,
            host=settings.host,
            port=settings.port if port is None else port,
            threads=settings.threads,
        )

    def start(self, *, supervise: bool) -> None:
        """Begin to answer, and to supervise; returns at once."""
        if supervise:
            self._supervisor = self._opus.supervisor(event_url=self.url)
            self._supervisor.start()
        self.begin()

    def close(self) -> None:
        """Wake those who wait, finish what is being answered. Jobs go on running."""
        self._opus.watcher.close()
        super().close()
        if self._supervisor is not None:
            self._supervisor.stop()


def _unsent(connections: dict[int, Any]) -> bool:
    return any(getattr(one, "total_outbufs_len", 0) for one in connections.values())


def _connections(threads: int) -> int:
    """How many connections can be open: most of them idle, so as many as there can be files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(most - _FILES_BESIDE - 2 * threads, 2 * threads)
