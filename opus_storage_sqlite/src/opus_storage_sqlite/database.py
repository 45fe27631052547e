"""What the queries need of a database, whichever it is."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection

from opus_storage_sqlite.statements import Prepared

T = TypeVar("T")


class Database(ABC):
    """The connections of this process. Opens nothing before it is used; `close` may be followed by
    further use. Whatever goes wrong with the database leaves it as an error of the core."""

    def __init__(self) -> None:
        self._growth = 0
        self._grown = threading.Condition()

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A connection on which each statement sees one state of the database."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction, durable when the block is left; undone, if it is left by an error."""

    @abstractmethod
    def look(
        self, look: Prepared, values: Mapping[str, Any], take: Callable[[tuple[Any, ...]], T]
    ) -> T | None:
        """What `take` makes of the row, the connection in hand; None if there is no row."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection on which all statements see one state of the database."""

    @abstractmethod
    def last_number(self, connection: Connection, table: str) -> int:
        """The number that a row of this table was given last, there or gone; 0 for none."""

    @abstractmethod
    def number_behind(self, connection: Connection, table: str, last: int) -> None:
        """Give rows of this table numbers behind that one, in the transaction of the connection."""

    @property
    @abstractmethod
    def ask_every(self) -> float:
        """[s] after which one who waits looks whether others have written, told or not."""

    @abstractmethod
    def close(self) -> None:
        """Close what nobody is using at the moment; what is in use, when it is given back."""

    # -- who waits for the journal to grow

    def ticket(self) -> int:
        """To be taken before looking into the journal, and given to `wait` after."""
        return self._growth

    def journal_grew(self) -> None:
        """Wake those who wait in this process."""
        with self._grown:
            self._growth += 1
            self._grown.notify_all()

    def wait(self, ticket: int, seconds: float) -> None:
        """Block until the journal has grown since the ticket was taken, or for `seconds`, or until
        it is time to look."""
        with self._grown:
            self._grown.wait_for(lambda: self._growth != ticket, min(seconds, self.ask_every))

    def forget_waiting(self) -> None:
        """In a child just forked: a lock that nobody holds."""
        self._grown = threading.Condition()
