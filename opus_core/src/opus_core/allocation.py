"""Have the C library give memory back that many threads have used one after the other.

glibc gives each thread a heap of its own and keeps what was freed there: a request that needs
30 MiB for a moment would leave as much behind in each of 64 threads. Two heaps are enough where the
interpreter lets one thread run at a time; and what is large comes straight from the system, and
goes back there, instead of being kept once one such piece has been freed.
"""

from __future__ import annotations

import ctypes
from typing import Final

_MMAP_THRESHOLD: Final = -3  # the names of mallopt(3)
_ARENA_MAX: Final = -8
_LARGE: Final = 2**20  # [byte]; of what is smaller, most is needed again at once


def give_back() -> None:
    """Do so from now on; other C libraries do it anyway, or cannot."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGE)
    mallopt(_ARENA_MAX, 2)
