"""What sbatch has answered: an id, a definite no, a not now, or nothing that can be relied on.

The last of these is the default. A text is only taken for a no if SLURM says it after it has
looked at the job, or if sbatch never asked; what a controller that is slow, hung or dead leads to
may have been a yes.
"""

from __future__ import annotations

import re
from typing import Final

from opus_core.errors import BackendUnavailable, OpusError, SubmitDeferred, SubmitRejected

_PARSABLE: Final = re.compile(r"([0-9]+)(?:;\S+)?")
_SPOKEN: Final = re.compile(r"Submitted batch job ([0-9]+)(?: on cluster \S+)?\.?")

_NEVER: Final = (
    ("invalid partition", "there is no such partition"),
    ("requested node configuration is not available", "no node of the cluster has what it asks"),
    ("memory specification can not be satisfied", "no node of the cluster has so much memory"),
    ("invalid feature specification", "no node of the cluster has such a feature"),
    ("invalid node name", "there is no such node"),
    ("generic resource", "no node of the cluster has such a resource"),
    ("requested reservation is invalid", "there is no such reservation"),
    ("invalid license specification", "there is no such licence"),
    ("invalid account or account/partition combination", "its account may not use that partition"),
    ("invalid qos specification", "there is no such quality of service, or it is not for you"),
    ("invalid --", "an option for sbatch is not valid"),
    ("unrecognized option", "sbatch does not know an option"),
    ("requires an argument", "an option for sbatch is not complete"),
    ("requested time limit is invalid", "it asks for more time than is allowed"),
    ("more processors requested than permitted", "it asks for more processors than are allowed"),
    ("too many tasks requested", "it asks for more tasks than are allowed"),
    ("node count specification invalid", "it asks for a number of nodes that is not to be had"),
    ("other parameter too long", "a name is too long for the cluster"),
    ("no cluster '", "there is no such cluster"),
    ("user not permitted", "the account of the server may not do this"),
    ("access/permission denied", "the account of the server may not do this"),
    ("user's group not permitted", "the account of the server may not use that partition"),
)
_NOT_NOW: Final = (
    ("required partition not available", "its partition takes no jobs for the time being"),
    ("job submit limit", "a limit of the cluster on jobs is reached"),
    ("job violates accounting/qos policy", "a limit of the cluster is reached"),
    ("maximum number of jobs", "the cluster holds as many jobs as it can"),
    ("job limit", "a limit of the cluster on jobs is reached"),
    ("reached maxsubmit", "a limit of the cluster on jobs is reached"),
    ("no space left on device", "a disk of the cluster is full"),
    ("disk quota exceeded", "the quota of the account on the cluster is used up"),
)


def submitted(stdout: str) -> str | None:
    """The id in what sbatch printed: the last line that is nothing else. Sites wrap sbatch, print
    banners with numbers in them, or know no --parsable."""
    for line in reversed(stdout.splitlines()):
        text = line.strip()
        found = _PARSABLE.fullmatch(text) or _SPOKEN.fullmatch(text)
        if found:
            return found[1]
    return None


def refusal(code: int, stdout: str, stderr: str) -> OpusError:
    """The error that an sbatch without an id stands for."""
    said = _said(stderr) or _said(stdout)
    lower = f"{stderr}\n{stdout}".lower()
    if code:
        for text, plain in _NOT_NOW:
            if text in lower:
                return SubmitDeferred(f"{plain} ({said})")
        for text, plain in _NEVER:
            if text in lower:
                return SubmitRejected(f"{plain} ({said})")
        return BackendUnavailable(f"sbatch ended with {code}: {said or 'it said nothing'}")
    return BackendUnavailable(f"sbatch printed no job id: {said or 'it said nothing'}")


def _said(text: str) -> str:
    """The last thing that was said, without who said it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith('Try "')]
    if not lines:
        return ""
    last = re.sub(r"^(\w+: )?(error|fatal): ", "", lines[-1])
    return re.sub(r"^Batch job submission failed: ", "", last)[:500]
