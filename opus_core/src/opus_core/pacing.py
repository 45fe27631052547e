"""How answers leave the embedded server: no client keeps a thread, or the others waiting.

waitress sends from one thread, as much to one connection as that takes, and blocks the thread that
answers while more than 16 MiB wait to be sent. A client that reads fast would stop everybody for
as long as a large file lasts; as many clients as there are threads, all reading nothing, for ever.
And it closes a connection that was not used for two minutes only when that can be written to: never
if its client reads nothing.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any, Final

from waitress.channel import ClientDisconnected, HTTPChannel

from opus_core.unsent import AnswerBuffer, Unsent

_PIECE: Final = 2**18  # [byte] given to the system at once; waitress would copy all that it takes
_TURN: Final = 4 * 2**20  # [byte] sent to one connection before the others have their turn
_STALLED: Final = 30.0  # [s] without a byte taken, after which a thread waits no longer


class PacedChannel(HTTPChannel):
    """A connection that takes its turn."""

    adj: Any  # here and below: what waitress's published types have wrong, or not at all
    outbuf_lock: Any
    outbufs: Any
    sendbuf_len: Any
    server: Any
    socket: Any

    def __init__(self, unsent: Unsent, *rest: Any, **more: Any) -> None:  # noqa: ANN401
        self._sent = 0
        self._share = unsent.share(self._hang_up)
        super().__init__(*rest, **more)
        self.outbufs = [self._share.buffer()]
        self.sendbuf_len = min(self.sendbuf_len, _PIECE)

    def write_soon(self, data: Any) -> Any:  # noqa: ANN401
        with self.outbuf_lock:
            full = self.current_outbuf_count >= self.adj.outbuf_high_watermark
            last = self.outbufs[-1]
            # waitress would go on with a buffer that nobody counts.
            if not isinstance(last, AnswerBuffer) or (full and not last.is_new):
                self.outbufs.append(self._share.buffer())
            if full or self.outbufs[-1] is not last:
                self.current_outbuf_count = 0
        return super().write_soon(data)

    def writable(self) -> bool:
        """Whether the sending thread is to send.

        Not while another thread has the answer in its hands: that one sends by itself, and calls
        if it could not send all. The socket takes data all the time meanwhile, so the sending
        thread would not sleep, but look at every connection again and again, and with many of
        them leave the other one no time to finish.
        """
        if self.will_close and self.total_outbufs_len:
            self._hang_up()
        if self.will_close or self.close_when_flushed:
            return True
        if not self.total_outbufs_len or not self.outbuf_lock.acquire(False):
            return False
        self.outbuf_lock.release()
        return True

    def _flush_some(self, do_close: bool = True) -> Any:  # noqa: ANN401
        self._sent = 0
        sent = super()._flush_some(do_close)  # type: ignore[misc]
        last = self.outbufs[-1]
        if self.total_outbufs_len:
            self._share.waits()
            if isinstance(last, AnswerBuffer):
                last.settle()
        else:
            self._share.rests()
            if isinstance(last, AnswerBuffer):
                last.clear()
        return sent

    def send(self, data: Any, do_close: bool = True) -> int:  # noqa: ANN401
        """As much as is sent at once; none if it is the turn of others."""
        if self._sent >= _TURN:
            return 0
        sent = int(super().send(data, do_close))
        self._sent += sent
        self._share.took(sent)
        return sent

    def _hang_up(self) -> None:
        """Have the sending thread close the connection, whatever waits; from any thread."""
        with suppress(OSError):  # closed already
            self.socket.shutdown(socket.SHUT_RDWR)
        self.server.pull_trigger()

    def _flush_outbufs_below_high_watermark(self) -> None:
        most = self.adj.outbuf_high_watermark
        if self.total_outbufs_len <= most:
            return
        with self.outbuf_lock:
            _, failed = self._flush_exception(self._flush_some, do_close=False)  # type: ignore[attr-defined]
            left, since = self.total_outbufs_len, time.monotonic()
            while self.connected and (failed or self.total_outbufs_len > most):
                # The sending thread sends, or finds out what is the matter.
                self.server.pull_trigger()
                woken = self.outbuf_lock.wait(1.0)
                if failed and woken:
                    return
                if self.total_outbufs_len != left:
                    left, since = self.total_outbufs_len, time.monotonic()
                elif time.monotonic() - since > _STALLED:
                    self._hang_up()
                    raise ClientDisconnected
