"""The embedded web server: waitress around the application, with or without a supervisor."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Any

from waitress.server import MultiSocketServer, create_server

from opus_core.app import Opus
from opus_core.errors import ConfigError
from opus_core.supervisor import Supervisor

log = logging.getLogger(__name__)

_LAST_ANSWERS = 5  # [s] that requests under way have to be answered when the server stops


class Server:
    """Serves one opened installation until it is closed; a context manager closes it."""

    def __init__(self, opus: Opus, *, port: int | None = None) -> None:
        settings = opus.config.server
        self._opus = opus
        jobs = opus.config.jobs
        try:
            # Any: the published types know nothing of the address that was bound.
            self._server: Any = create_server(
                opus.wsgi(),
                host=settings.host,
                port=settings.port if port is None else port,
                threads=settings.threads,
                ident="opus",
                connection_limit=max(1000, 4 * settings.threads),
                asyncore_use_poll=True,  # select() ends at about 1,000 sockets
                # The forms' own limits answer in a sentence; this one is only the last resort.
                max_request_body_size=jobs.max_upload + 2 * settings.max_body,
                clear_untrusted_proxy_headers=True,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {settings.host}:{settings.port if port is None else port}:"
                f" {error.strerror}; choose another [server] port"
            ) from error
        self._thread = threading.Thread(target=self._server.run, name="opus-http", daemon=True)
        self._supervisor: Supervisor | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        if isinstance(self._server, MultiSocketServer):
            host, port = self._server.effective_listen[0]
        else:
            host, port = self._server.effective_host, self._server.effective_port
        shown = "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104  a comparison
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    def start(self, *, supervise: bool) -> None:
        """Begin to answer, and to supervise; returns at once."""
        if supervise:
            self._supervisor = self._opus.supervisor(event_url=self.url)
            self._supervisor.start()
        self._thread.start()

    def close(self) -> None:
        """Wake those who wait, finish what is being answered. Jobs go on running."""
        self._opus.watcher.close()
        # Answers first, then the sockets: a thread that is still answering needs its own.
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=_LAST_ANSWERS)
        self._server.close()
        if self._thread.ident is not None:
            self._thread.join(timeout=30)
        if self._supervisor is not None:
            self._supervisor.stop()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
