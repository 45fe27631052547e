"""Where the log goes, and in which form: one line an entry, key facts first."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from typing import Final

from opus_core.config import Config

_FORM: Final = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


def set_up(config: Config) -> None:
    """Send the log to `log_file`, which logrotate may move away, or to standard error."""
    handler: logging.Handler
    if config.log_file is not None:
        config.log_file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.WatchedFileHandler(config.log_file, encoding="utf-8")
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
