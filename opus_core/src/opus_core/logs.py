"""Where the log goes, and in which form: one line an entry, key facts first."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from typing import Final

from opus_core.config import Config
from opus_core.errors import ConfigError

_SILENCE: Final = 60.0  # [s]
_FORM: Final = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


class _File(logging.handlers.WatchedFileHandler):
    """A log that cannot be written, on a full disk, says so now and then, not with every line."""

    _silent_until = 0.0

    def handleError(self, record: logging.LogRecord) -> None:
        """One sentence to standard error, then silence for a while. The line itself is lost."""
        if time.monotonic() < self._silent_until:
            return
        self._silent_until = time.monotonic() + _SILENCE
        sys.stderr.write(f"the log {self.baseFilename} cannot be written: {sys.exc_info()[1]}\n")


def set_up(config: Config) -> None:
    """Send the log to `log_file`, which logrotate may move away, or to standard error.

    Raises `ConfigError` if that file cannot be written.
    """
    handler: logging.Handler
    if config.log_file is not None:
        try:
            config.log_file.parent.mkdir(parents=True, exist_ok=True)
            handler = _File(config.log_file, encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"the log {config.log_file} cannot be written: {error.strerror}; let log_file name"
                " another one"
            ) from error
    else:
        handler = logging.StreamHandler(sys.stderr)
    form = logging.Formatter(_FORM, "%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    handler.setFormatter(form)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # waitress tells of every full queue, alembic of every look at the schema.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
