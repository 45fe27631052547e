"""What a back end has to be: the four interfaces, and the values they trade.

Everything a plugin author must know stands in these docstrings; the contract tests in
`opus_core.testing` hold every promise against an implementation. Three rules for all of them:

- `__init__(options)` opens nothing, asks nobody and cannot fail; `check()` does and may.
- Every method may be called from several threads at once.
- A back end raises errors of `opus_core.errors` with one sentence for whoever has to act.

Everybody imports from here. What stands where, each reading only what lines above it have:

backend     what all back ends have            query     which jobs a list shows
submission  what was handed to a scheduler     accounts  users, their tokens and sessions
storage     where jobs are kept                manager   what talks to a scheduler
jdl         a format of job descriptions       caller    who is asking
"""

from __future__ import annotations

from opus_core.backends.accounts import Account, Accounts, Session, Token
from opus_core.backends.backend import Backend, NoOptions
from opus_core.backends.caller import RequestView, User
from opus_core.backends.jdl import Bundle, Jdl
from opus_core.backends.manager import Manager
from opus_core.backends.query import JobQuery, Position, Sort
from opus_core.backends.storage import (
    SUPERVISOR,
    Health,
    HealthState,
    Lease,
    Limits,
    Record,
    Storage,
)
from opus_core.backends.submission import Cause, Event, Kind, Live, Output, Ref, Status, Task
from opus_core.links import Exit, Links

__all__ = [
    "SUPERVISOR",
    "Account",
    "Accounts",
    "Backend",
    "Bundle",
    "Cause",
    "Event",
    "Exit",
    "Health",
    "HealthState",
    "Jdl",
    "JobQuery",
    "Kind",
    "Lease",
    "Limits",
    "Links",
    "Live",
    "Manager",
    "NoOptions",
    "Output",
    "Position",
    "Record",
    "Ref",
    "RequestView",
    "Session",
    "Sort",
    "Status",
    "Storage",
    "Task",
    "Token",
    "User",
]
