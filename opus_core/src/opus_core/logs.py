"""Where the log goes, in which form, and how much of it."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from opus_core.config import Config
from opus_core.errors import ConfigError, OpusError
from opus_core.lines import Json, Lines, Text
from opus_core.logfile import LogFile, Writer

REQUESTS: Final = "opus_core.routes.log"
"""The logger of the one line of each request."""

_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.NOTSET, 7),
)


class _Stderr(Writer):
    """Standard error; for systemd's journal each line begins with its priority, as in
    sd-daemon(3)."""

    def __init__(self) -> None:
        super().__init__(REQUESTS)
        self._journal = _leads_to_journal()

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = super().format(record)
        if not self._journal:
            return line
        number = next(number for level, number in _PRIORITIES if record.levelno >= level)
        return f"<{number}>{line}"

    def write(self, lines: list[str]) -> None:
        """Write them."""
        with suppress(OSError, ValueError):  # closed, or its reader is gone: nobody can be told
            sys.stderr.write("\n".join((*lines, "")))
            sys.stderr.flush()


def set_up(config: Config) -> None:
    """Send the log to `log_file`, which logrotate may move away, or to standard error.

    A process has one log: two applications in it with one file write each line there once, and
    with two files into both. Raises `ConfigError` if the file cannot be written.
    """
    path = config.log_file
    root = logging.getLogger()
    if not any(isinstance(one, LogFile) and one.path == path for one in root.handlers):
        handler: logging.Handler = _Stderr() if path is None else _file(path)
        lines: Lines = Json() if config.log_format == "json" else Text()
        handler.setFormatter(lines)
        root.addHandler(handler)
    root.setLevel(config.level.upper())
    logging.getLogger(REQUESTS).setLevel(logging.NOTSET if config.log_requests else logging.WARNING)
    logging.getLogger("waitress").addFilter(_is_news)
    # waitress tells of every full queue, alembic of every look at the schema.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def set_up_under_wsgi(config: Config) -> None:
    """The same in a program of others, which may have decided about its log: without `log_file`
    that is left as it is."""
    if config.log_file is not None or not logging.getLogger().handlers:
        set_up(config)


def _is_news(record: logging.LogRecord) -> bool:
    """Not so where an answer was cut off for a cause that the line of its request has said."""
    return not (record.exc_info and isinstance(record.exc_info[1], OpusError))


def _file(path: Path) -> LogFile:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return LogFile(path, REQUESTS)
    except OSError as error:
        raise ConfigError(
            f"the log {path} cannot be written: {error.strerror}; let log_file name another one"
        ) from error


def _leads_to_journal() -> bool:
    """Whether standard error is the journal's, as systemd says of it (systemd.exec(5))."""
    try:
        there = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # no file, or closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
