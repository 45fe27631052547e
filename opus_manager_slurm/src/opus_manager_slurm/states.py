"""What SLURM's words mean: its job states, and the reasons it gives.

The table of states is complete for SLURM 25; a word that is not in it changes nothing. States are
those of the page "Job State Codes" of SLURM; squeue shows a flag in place of the base state.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from opus_core.backends import Cause, Kind

_State = tuple[Kind, Cause | None]

STATES: Final[Mapping[str, _State]] = MappingProxyType(
    {
        # it waits
        "PENDING": (Kind.QUEUED, None),
        "CONFIGURING": (Kind.QUEUED, None),  # nodes are booting
        "POWER_UP_NODE": (Kind.QUEUED, None),
        "REQUEUED": (Kind.QUEUED, None),
        "REQUEUE_FED": (Kind.QUEUED, None),
        "EXPEDITING": (Kind.QUEUED, None),
        # until somebody releases it
        "REQUEUE_HOLD": (Kind.HELD, None),
        "RESV_DEL_HOLD": (Kind.HELD, None),
        "SPECIAL_EXIT": (Kind.HELD, None),
        "LAUNCH_FAILED": (Kind.HELD, None),
        "RECONFIG_FAIL": (Kind.HELD, None),
        # it runs
        "RUNNING": (Kind.RUNNING, None),
        "STAGE_OUT": (Kind.RUNNING, None),
        "SUSPENDED": (Kind.SUSPENDED, None),
        "STOPPED": (Kind.SUSPENDED, None),
        # flags that come beside any state, and say nothing about it
        "COMPLETING": (
            Kind.UNRECOGNISED,
            None,
        ),  # over, or to be queued again: it may never have run
        "RESIZING": (Kind.UNRECOGNISED, None),
        "SIGNALING": (Kind.UNRECOGNISED, None),
        "UPDATE_DB": (Kind.UNRECOGNISED, None),
        # it is over
        "COMPLETED": (Kind.ENDED, Cause.OK),
        "FAILED": (Kind.ENDED, Cause.FAILED),
        "CANCELLED": (Kind.ENDED, Cause.CANCELLED),
        "REVOKED": (Kind.ENDED, Cause.CANCELLED),  # a sibling of a federation has it, if any
        "TIMEOUT": (Kind.ENDED, Cause.TIME_LIMIT),
        "OUT_OF_MEMORY": (Kind.ENDED, Cause.MEMORY),
        "NODE_FAIL": (Kind.ENDED, Cause.NODE),
        "BOOT_FAIL": (Kind.ENDED, Cause.LAUNCH),
        "PREEMPTED": (Kind.ENDED, Cause.PREEMPTED),
        "DEADLINE": (Kind.ENDED, Cause.DEADLINE),
    }
)

_HELD: Final = {
    "JobHeldUser": "it is held on the cluster; send PHASE=RUN to release it",
    "JobHeldAdmin": "it is held by an administrator of the cluster, who alone can release it",
    "job requeued in held state": "the cluster holds it after a failure; send PHASE=RUN to go on",
    "JobHoldMaxRequeue": "the cluster has tried it too often and holds it; ABORT it, or ask the"
    " administrators of the cluster",
    "launch failed requeued held": "the cluster could not launch it and holds it; send PHASE=RUN"
    " to try again",
}

_FOR_EVER: Final = "it will wait for ever: ABORT it and "
_HOPELESS: Final = {
    "PartitionTimeLimit": "ask for less time than the partition allows",
    "PartitionNodeLimit": "ask for fewer nodes than the partition allows",
    "PartitionConfig": "ask for what the partition has",
    "BadConstraints": "ask for what the cluster has",
    "DependencyNeverSatisfied": "make a new one, since what it depends on has failed",
    "InvalidAccount": "ask the administrators, since its account on the cluster is not valid",
    "InvalidQOS": "choose another quality of service",
    "AccountNotAllowed": "choose another partition, since its account may not use this one",
    "QOSNotAllowed": "choose another quality of service, or another partition",
    "QOSTimeLimit": "ask for less time",
    "AssociationTimeLimit": "ask for less time",
    "QOSMaxWallDurationPerJobLimit": "ask for less time",
    "AssocMaxWallDurationPerJobLimit": "ask for less time",
    "QOSMaxCpuPerJobLimit": "ask for fewer processors",
    "AssocMaxCpuPerJobLimit": "ask for fewer processors",
    "QOSMaxNodePerJobLimit": "ask for fewer nodes",
    "AssocMaxNodePerJobLimit": "ask for fewer nodes",
    "QOSMaxMemoryPerJob": "ask for less memory",
    "AssocMaxMemoryPerJob": "ask for less memory",
    "QOSMinCpuNotSatisfied": "ask for more processors",
}

_WAITS: Final = {
    "Resources": "waiting for free nodes",
    "Priority": "jobs of a higher priority go first",
    "BeginTime": "the cluster lets it wait for a moment before it begins",
    "Dependency": "waiting for another job",
    "PartitionDown": "its partition is closed for the time being",
    "PartitionInactive": "its partition takes no jobs for the time being",
    "NodeDown": "a node it needs is down",
    "Licenses": "waiting for a licence",
    "Reservation": "waiting for its reservation",
    "Cleaning": "the cluster clears up after an earlier attempt",
    "Prolog": "its node is being prepared",
}


def word_of(state: str) -> str:
    """The state without what sacct adds to it: `CANCELLED by 1000`, `CANCELLED+`."""
    first = state.split(None, 1)[0] if state.strip() else ""
    return first.rstrip("+")


def kind_of(state: str, reason: str) -> _State:
    """What a state and the reason beside it mean; UNRECOGNISED for a word not in the table."""
    word = word_of(state)
    kind, cause = STATES.get(word, (Kind.UNRECOGNISED, None))
    if word == "PENDING" and _plain(reason) in _HELD:
        return Kind.HELD, None
    if cause is Cause.FAILED and _plain(reason) == "BadConstraints":
        return Kind.ENDED, Cause.LAUNCH  # refused by sbatch, and yet it left a job behind
    return kind, cause


def sentence_of(reason: str) -> str:
    """Why a job waits, for its owner, with SLURM's own word; empty where there is no reason."""
    plain = _plain(reason)
    if plain in ("", "None", "null"):
        return ""
    if plain in _HELD:
        return f"{_HELD[plain]} ({plain})"
    if plain in _HOPELESS:
        return f"{_FOR_EVER}{_HOPELESS[plain]} ({plain})"
    if plain in _WAITS:
        return f"{_WAITS[plain]} ({plain})"
    if plain.startswith(("ReqNodeNotAvail", "Nodes required for job")):
        return f"nodes it needs are down or reserved ({plain})"
    if "Limit" in plain or plain.startswith(("QOS", "Assoc")):
        return f"a limit of the cluster is reached; it goes on when others have ended ({plain})"
    return plain


def _plain(reason: str) -> str:
    """A reason as squeue writes it; scontrol has `_` for its blanks."""
    text = reason.strip()
    if text.startswith("(") and text.endswith(")"):  # as squeue shows it beside the nodes
        text = text[1:-1]
    return text.replace("_", " ") if "_" in text and " " not in text else text
