"""Writes numbered lines to a log as OPUS does, until its standard input ends; prints how many."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from opus_core.facts import about
from opus_core.lines import Json
from opus_core.logfile import LogFile

PAUSE = 0.0005  # [s] between two lines: some thousand in a second, by all processes together


def main(path: str, name: str) -> None:
    handler = LogFile(Path(path))
    handler.setFormatter(Json())
    log = logging.getLogger("writer")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    number = 0
    while not over.wait(PAUSE):
        log.info("x" * (number % 3000), extra=about(writer=name, number=number))
        number += 1
    print(number)


if __name__ == "__main__":
    main(*sys.argv[1:])
