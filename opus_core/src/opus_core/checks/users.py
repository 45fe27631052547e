"""What a user of this system may do to files and folders, tried as that user.

Rights are tried, not worked out from modes: access lists, mounts and servers of files have a say.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from opus_core.checks.child import answers
from opus_core.finding import Code

NO_WAY: Final = "it may not pass through"
"""How a reason begins that is a folder above, and so may be the reason of many refusals."""

NO_FOLDER: Final = "there is no folder"
"""The same of one that is not there and that cannot be made."""

_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Want:
    """What whoever runs OPUS has to be able to do. A file that is written need not be there."""

    right: Literal["read", "write", "fill"]  # fill: make files in this folder
    subject: str
    name: str
    path: Path
    code: Code


def refusals(wants: Sequence[Want], user: pwd.struct_passwd | None) -> list[str]:
    """For each of them why it cannot be, empty if it can; as that user, or as this process is.

    Only root becomes another user. Raises `CannotBecome` where it may not, and `ChildFailed`.
    """
    if user is None or user.pw_uid == os.geteuid():
        return [refusal(want) for want in wants]
    return [*answers(user, lambda: map(refusal, wants))]


def refusal(want: Want) -> str:
    """Why this process cannot do that; empty if it can. Nothing is left behind."""
    try:
        if want.right == "fill":
            with tempfile.TemporaryFile(dir=want.path):
                pass
        elif want.path.exists():
            os.close(os.open(want.path, _READ if want.right == "read" else _WRITE))
        elif want.right == "write":
            with tempfile.TemporaryFile(dir=_nearest(want.path.parent)):
                pass
        else:
            os.close(os.open(want.path, _READ))
    except OSError as error:
        closed = _closed_above(want.path)
        if closed is not None:
            return f"{NO_WAY} {closed}"
        if not os.path.exists(want.path.parent):
            return f"{NO_FOLDER} {want.path.parent}, and none can be made ({error.strerror})"
        return str(error.strerror)
    return ""


def _closed_above(path: Path) -> Path | None:
    """The highest folder above that this process may not pass through."""
    above = reversed(path.absolute().parents)
    return next((one for one in above if os.path.isdir(one) and not os.access(one, os.X_OK)), None)


def _nearest(folder: Path) -> Path:
    """The lowest folder on the way that is there."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder
