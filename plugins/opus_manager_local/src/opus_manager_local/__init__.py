"""Run jobs as processes on this machine."""

from opus_manager_local.manager import LocalManager
from opus_manager_local.options import LocalOptions

__all__ = ["LocalManager", "LocalOptions"]
