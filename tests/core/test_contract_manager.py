"""A small reference manager keeps the contract that every manager has to keep."""

from __future__ import annotations

from core.saboteurs import managers
from core.saboteurs.process_manager import ProcessManager
from opus_core.testing import ManagerContract

TestProcesses = type("TestProcesses", (ManagerContract,), managers.fixtures(ProcessManager))
