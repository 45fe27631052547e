"""What the author of each kind of plugin writes behind `class ...:`, in place of the stubs.

For a manager it is the tutorial's: docs/plugins/cellar.
"""

from __future__ import annotations

STORAGE = """
from opus_core.testing.memory import MemoryOptions, MemoryStorage


class NightStorage(MemoryStorage):
    name = "night"
    about = "Jobs of OPUS are kept in night"
    Options = NightOptions

    def __init__(self, options):
        super().__init__(MemoryOptions(universe=str(options.path)))
"""

JDL = """
from core.saboteurs.json_jdl import JsonJdl


class NightJdl(JsonJdl):
    name = "night"
    about = "Job descriptions of OPUS as night"
    suffix = ".night"
    media_type = "text/x-night"
"""

AUTH = """
from opus_core.errors import NotAuthenticated


class NightAuth(Extension):
    name = "night"
    about = "Users of OPUS are known by night"
    Options = NightOptions

    @hookimpl
    def opus_authenticate(self, request):
        scheme, _, name = request.headers.get("authorization", "").partition(" of ")
        if scheme != "night":
            return None
        if name != "ada":
            raise NotAuthenticated("nobody of that name comes at night")
        return User(name=name)
"""

OBSERVER = """
HEARD = []


class NightObserver(Extension):
    name = "night"
    about = "What becomes of jobs of OPUS is told to night"
    Options = NightOptions

    @hookimpl
    def opus_job_phase_changed(self, change):
        HEARD.append((change.job_id, change.new))
"""
HEARD = """\
        from opus_observer_night.observer import HEARD

        HEARD.clear()
        return lambda: HEARD
"""
