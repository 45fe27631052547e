"""The memory storage, copied: the reference that saboteurs of `copy_into` break."""

from __future__ import annotations

import copy

from opus_core.errors import ConfigError
from opus_core.testing.memory import MemoryStorage

KEPT = ("rows", "created", "keys", "journal", "newest", "removed", "leases", "health", "streams")
OF_ACCOUNTS = ("_users", "_tokens", "_sessions")


class CopyingMemory(MemoryStorage):
    """Copies into others of its kind."""

    kept = KEPT

    def copy_into(self, other):
        if not isinstance(other, CopyingMemory):
            return super().copy_into(other)
        self.refuse(other)
        with self.universe.writing(), other.universe.writing():
            for name in self.kept:
                setattr(other.universe, name, copy.deepcopy(getattr(self.universe, name)))
            self.hand_over(self.universe.accounts, other.universe.accounts)
        return {"jobs": len(self.universe.rows), "streams": len(self.universe.streams)}

    def refuse(self, other):
        if other.universe.rows or other.universe.streams or other.universe.newest:
            raise ConfigError("there is something in it already; give an empty one")

    def hand_over(self, mine, theirs):
        for name in OF_ACCOUNTS:
            setattr(theirs, name, dict(getattr(mine, name)))
