"""Inputs that are nearly right: a corpus of whole ones, and what chance makes of them."""

from __future__ import annotations

import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
SOAK = bool(os.environ.get("OPUS_SOAK"))
ALL = int(os.environ.get("OPUS_FUZZ", "10000000" if SOAK else "100000"))
SLOW = 2.0  # [s] of the processor, beyond which an input is one that stops a server

_BYTES = bytes(range(256))
_NUMBERS = (0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, 10**30)


_EVERYWHERE = b"A" * 5000


def _unescaped(line: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda byte: bytes([int(byte[1], 16)]), line.encode())


class Fuzzer:
    """Makes inputs from the files of a folder and the words of their language, one a line, in
    which a byte may be written as \\x00."""

    def __init__(self, kind: str, seed: str = "") -> None:
        self.kind = kind
        self.seed = seed or os.environ.get("OPUS_SEED", "") or secrets.token_hex(4)
        self._dice = random.Random(self.seed)
        lines = (CORPUS / f"{kind}.words").read_text().splitlines()
        self._words = [_EVERYWHERE, *(_unescaped(line) for line in lines)]
        self.corpus = [file.read_bytes() for file in sorted((CORPUS / kind).iterdir())]
        assert self.corpus, f"there is nothing in {CORPUS / kind}"

    def inputs(self, number: int) -> Iterator[bytes]:
        """The corpus itself, and then so many in all."""
        yield from self.corpus[:number]
        for _ in range(number - len(self.corpus)):
            data = self._dice.choice(self.corpus)
            for _ in range(self._dice.choice((1, 1, 1, 2, 3, 5, 9))):
                data = self._changed(data)
            yield data[: 2**18]

    def _changed(self, data: bytes) -> bytes:
        dice = self._dice
        here = dice.randrange(len(data) + 1)
        there = min(len(data), here + dice.choice((1, 1, 2, 4, 16, 64, 400)))
        piece = data[here:there]
        match dice.randrange(12):
            case 0:  # one bit
                flipped = bytes([byte ^ (1 << dice.randrange(8)) for byte in piece[:1]])
                return data[:here] + flipped + data[here + 1 :]
            case 1:
                return data[:here] + bytes([dice.choice(_BYTES)]) + data[here:]
            case 2:
                return data[:here] + data[there:]
            case 3:
                return data[:there] + piece + data[there:]
            case 4:
                return data[:there] + piece * dice.choice((2, 10, 100)) + data[there:]
            case 5:
                return data[:here]
            case 6 | 7 | 8:
                return data[:here] + dice.choice(self._words) + data[here:]
            case 9:
                return data[:here] + dice.choice(self._words) + data[there:]
            case 10:  # the end of another one
                other = dice.choice(self.corpus)
                return data[:here] + other[dice.randrange(len(other) + 1) :]
            case _:
                return data[:here] + str(dice.choice(_NUMBERS)).encode() + data[there:]

    def run(self, share: float, give: Callable[[bytes], None], folder: Path) -> int:
        """Give a share of all inputs to what is tested, which raises if one gets through to where
        it must not; answers how many those were. What stopped it is left in the folder, and belongs
        into the corpus."""
        number = 0
        for number, data in enumerate(self.inputs(round(ALL * share)), 1):
            begin = time.process_time()
            try:
                give(data)
                took = time.process_time() - begin
                assert took < SLOW, f"it took {took:.1f} s"
            except BaseException as error:
                left = folder / f"{self.kind}-{number}"
                left.write_bytes(data)
                error.add_note(
                    f"input {number} of seed {self.seed}, left in {left}: {data[:300]!r}"
                )
                raise
        return number
