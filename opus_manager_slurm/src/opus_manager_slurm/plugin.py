"""What this distribution adds to OPUS: the manager `slurm`."""

from __future__ import annotations

from opus_core import hookimpl
from opus_core.backends import Manager


@hookimpl
def opus_register_manager() -> type[Manager]:
    """Offer the SLURM manager."""
    from opus_manager_slurm.manager import SlurmManager

    return SlurmManager
