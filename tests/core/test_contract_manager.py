"""Two small reference managers keep the contract that every manager has to keep."""

from __future__ import annotations

from core.saboteurs import managers
from core.saboteurs.far_manager import FarManager
from core.saboteurs.process_manager import ProcessManager
from opus_core.backends import Manager
from opus_core.testing import ManagerContract
from opus_core.testing.manager_offer import OfferPromises


class FarContract(ManagerContract):
    shared_folder = False


TestProcesses = type("TestProcesses", (ManagerContract,), managers.fixtures(ProcessManager))
TestFarProcesses = type("TestFarProcesses", (FarContract,), managers.fixtures(FarManager))


class HoldsForGood(ProcessManager):
    can_resume = False
    resume = Manager.resume


TestHoldsForGood = type("TestHoldsForGood", (OfferPromises,), managers.fixtures(HoldsForGood))
