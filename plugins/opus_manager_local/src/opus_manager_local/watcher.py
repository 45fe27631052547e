"""One thread that notices at once when a wrapper ends, whoever launched it, and keeps times."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from opus_manager_local.processes import Process, reap

log = logging.getLogger(__name__)

_AGAIN: Final = 1.0  # [s] until a process is tried again that could not be watched


class Watcher:
    """Calls `ended` whenever a watched process has ended, and other functions when it is time.

    The thread begins with the first wish and ends with `close`.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = -1
        self._closed = False
        self._new: list[Process] = []
        self._watched: set[Process] = set()
        self._times: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def watch(self, process: Process) -> None:
        """Call `ended` when the process has ended, at once if it has; once however often asked."""
        with self._lock:
            if self._closed or process in self._watched:
                return
            self._notify()
            self._watched.add(process)
            self._new.append(process)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Call a function after some seconds; not at all if that is after `close`."""
        with self._lock:
            if self._closed:
                return
            heapq.heappush(self._times, (time.monotonic() + seconds, next(self._order), act))
            self._notify()

    def close(self) -> None:
        """End the thread; what it watched goes on. Safe twice."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is None:
                return
            # One that is just leaving has closed it, and its number may be another file's by now.
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)
        if thread is not threading.current_thread():
            thread.join()

    def _notify(self) -> None:
        if self._wake < 0:  # before the first wish, and where a thread has failed
            self._wake = os.eventfd(0, os.EFD_CLOEXEC)
            self._thread = threading.Thread(target=self._run, name="opus-local", daemon=True)
            self._thread.start()
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        handles: dict[int, Process] = {}
        wake = self._wake
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        try:
            while not self._closed:
                due, timeout = self._take_due()
                for act in due:
                    self._call(act)
                ready = [handle for handle, _ in poll.poll(0 if due else timeout)]
                if wake in ready:
                    os.eventfd_read(wake)
                over = [handle for handle in ready if handle != wake]
                gone = self._begin(handles, poll)
                for handle in over:
                    poll.unregister(handle)
                    reap(handle)
                    os.close(handle)
                    gone.append(handles.pop(handle))
                if gone:
                    with self._lock:
                        self._watched.difference_update(gone)
                    self._call(self._ended)
        finally:
            for handle in handles:
                os.close(handle)
            with self._lock:
                os.close(wake)
                self._wake = -1

    def _begin(self, handles: dict[int, Process], poll: select.poll) -> list[Process]:
        """Take up what is to be watched newly; answers what has ended already."""
        with self._lock:
            new, self._new = self._new, []
        gone: list[Process] = []
        for process in new:
            try:
                handle = process.open()
            except OSError as error:  # too many open files, say
                log.warning("process %s cannot be watched yet: %s", process.pid, error.strerror)
                with self._lock:
                    self._watched.discard(process)
                self.later(_AGAIN, partial(self.watch, process))
                continue
            if handle is None:
                gone.append(process)
                continue
            handles[handle] = process
            poll.register(handle, select.POLLIN)
        return gone

    def _take_due(self) -> tuple[list[Callable[[], None]], float | None]:
        """What is due now, and the milliseconds until something else is."""
        due: list[Callable[[], None]] = []
        with self._lock:
            present = time.monotonic()
            while self._times and self._times[0][0] <= present:
                due.append(heapq.heappop(self._times)[2])
            timeout = (self._times[0][0] - present) * 1000 + 1 if self._times else None
        return due, timeout

    def _call(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:
            # The thread has other jobs to look after, and get_status will try again.
            log.exception("the watcher of local jobs could not do its work")
