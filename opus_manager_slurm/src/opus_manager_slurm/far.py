"""What is said to `far.sh` on the login node, and what it answers.

One ssh session is one call: the command of the login shell is always the same but for a length, and
all else comes by standard input, the script first, then its fields, then a stream if there is one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Final

from opus_core import links
from opus_core.errors import BackendUnavailable
from opus_core.links import Links

_SCRIPT: Final = files("opus_manager_slurm").joinpath("far.sh").read_bytes()
_LARGEST_NOISE: Final = 2**20  # [byte] that a login shell may print
_KEPT: Final = 4096  # [byte] of the end of an answer that may be its last line


class Call:
    """One call of a verb; as a `take` it is given what comes back."""

    def __init__(
        self, verb: str, *fields: str | Sequence[str], sink: Callable[[bytes], None]
    ) -> None:
        self._nonce = secrets.token_hex(8)
        self._head = f"nonce={self._nonce}\nverb={verb}\n".encode() + _SCRIPT
        self._fields = b"".join(_encoded(one) for one in fields)
        self._sink = sink
        self._begin = f"\nopus-{self._nonce}-begin\n".encode()
        self._end = f"\nopus-{self._nonce}-end ".encode()
        self._begun = False
        self._held = b"\n"  # a marker that comes first has no line before it

    @property
    def command(self) -> str:
        """For the login shell, whichever it is."""
        return f"exec /bin/bash -c 'eval \"$(head -c {len(self._head)})\"'"

    def feed(self, stream: Iterable[bytes] = ()) -> Iterator[bytes]:
        """What goes to its standard input."""
        yield self._head + self._fields
        yield from stream

    def take(self, data: bytes) -> None:
        """Pass on what lies between the markers; keep back what may be the last of them."""
        self._held += data
        if not self._begun:
            place = self._held.find(self._begin)
            if place < 0:
                if len(self._held) > _LARGEST_NOISE:
                    raise BackendUnavailable("the login shell there prints without end")
                return
            self._begun = True
            self._held = self._held[place + len(self._begin) :]
        if self._end in self._held:
            return
        if len(self._held) > _KEPT:
            self._sink(self._held[:-_KEPT])
            self._held = self._held[-_KEPT:]

    def ended(self) -> tuple[int, str]:
        """The code and the text that it ended with. Raises `BackendUnavailable` if it was cut."""
        rest, end, last = self._held.rpartition(self._end)
        if not (self._begun and end):
            raise BackendUnavailable("the answer of the login node was cut off")
        if rest:
            self._sink(rest)
        code, _, said = last.partition(b"\n")
        return int(code), said.decode("utf-8", "replace")


def fields_of(data: bytes) -> list[bytes]:
    """The fields of an answer."""
    return data.split(b"\0")[:-1]


def links_of(data: bytes, folders: Iterable[str]) -> Mapping[str, Links]:
    """The links of each folder from what `links` of far.sh has printed."""
    fields = [one.decode("utf-8", "replace") for one in fields_of(data)]
    found: dict[str, dict[str, str]] = {folder: {} for folder in folders}
    for folder, name, text in zip(*(iter(fields),) * 3, strict=True):
        found.get(folder, {})[name] = text
    return {folder: _links(one) for folder, one in found.items()}


def _links(found: Mapping[str, str]) -> Links:
    claimant = found.get("claim")
    exit_ = links.parse_exit(found["exit"].encode()) if claimant and "exit" in found else None
    valid = exit_ if exit_ is not None and exit_.claimant == claimant else None
    return Links(claimant=claimant, started=found.get("started"), exit=valid)


def _encoded(one: str | Sequence[str]) -> bytes:
    if isinstance(one, str):
        return one.encode("utf-8", "surrogateescape") + b"\0"
    return b"".join(map(_encoded, (str(len(one)), *one)))
