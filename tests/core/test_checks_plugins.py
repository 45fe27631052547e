"""What is wrong with plugins and back ends: each made so, found, and told with the way out."""

from __future__ import annotations

import pytest

from core.helpers.checked import checked
from opus_core.checks import security


@pytest.fixture
def site(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as one:
        one.begin()
        yield one


OWN_MANAGER = """
from core.saboteurs.process_manager import ProcessManager
from opus_core import hookimpl

class Own(ProcessManager):
    name = "own"
{}

@hookimpl
def opus_register_manager():
    return Own
"""
OWN_STORAGE = """
from opus_core import hookimpl
from opus_core.testing.memory import MemoryStorage

class Own(MemoryStorage):
    name = "own"

    def warnings(self):
        return ["it forgets; take another"]

@hookimpl
def opus_register_storage():
    return Own
"""
OWN_FORMAT = """
from core.saboteurs.json_jdl import JsonJdl
from opus_core import hookimpl

class Own(JsonJdl):
    name = "own"
    suffix = ".own"

    def warnings(self):
        return ["it is of the last century; take another"]

@hookimpl
def opus_register_jdl():
    return Own
"""
AUTHENTICATOR = """
from opus_core import hookimpl

@hookimpl
def opus_authenticate(request):
    return None
"""
EXTENSION = """
from opus_core import hookimpl
from opus_core.errors import ConfigError
from opus_core.extensions import Extension

class Tide(Extension):
    name = "tide"
    about = "tides"

    @hookimpl
    def opus_observers(self):
        return {}

    def check(self):
        %s

    def open(self, site):
        %s

    def warnings(self):
        return ["the tide is high; wait"]

@hookimpl
def opus_register_extension():
    return Tide
"""


def own_manager(site, body):
    site.install("own", OWN_MANAGER.format(body))
    site.configure(manager=f'use = "own"\nfolder = "{site.folder}/cluster"')


def test_a_plugin_with_a_hook_that_there_is_not(site):
    site.install(
        "odd",
        "from opus_core import hookimpl\n@hookimpl\ndef opus_authentikate(request):\n    pass\n",
    )

    found = site.one("plugin-broken")

    assert "opus_authentikate" in found.sentence
    assert found.sentence.endswith("or name the plugin in [plugins] disabled")


def test_two_plugins_that_offer_the_same(site):
    site.install("one", OWN_FORMAT)
    site.install("two", OWN_FORMAT)

    found = site.wrong()["plugin-twins"]

    assert [one.subject for one in found] == ["plugin one", "plugin two"]
    assert "offers the jdl own, too" in found[0].sentence


def test_a_plugin_that_is_disabled_and_not_there(site):
    site.configure(plugins='disabled = ["mettrics"]')

    assert site.one("plugin-unknown").subject == "plugin mettrics"


def test_two_plugins_that_say_who_is_asking(site):
    site.install("one", AUTHENTICATOR)
    assert site.wrong() == {}
    site.install("two", AUTHENTICATOR)

    assert site.one("plugin-authenticators").sentence.startswith("one and two all say who")


@pytest.mark.parametrize(
    ("check", "opening", "words"),
    [
        ("raise ConfigError('the sea is not there; dig')", "pass", "the sea is not there; dig"),
        ("pass", "raise ConfigError('the gate is shut; open it')", "the gate is shut; open it"),
        ("pass", "raise RuntimeError('odd')", "it cannot begin: RuntimeError: odd"),
        ("raise RuntimeError('odd')", "pass", "its check failed: RuntimeError: odd"),
    ],
)
def test_an_extension_that_cannot_begin(site, check, opening, words):
    site.install("tide", EXTENSION % (check, opening))

    assert site.one("plugin-unusable").sentence == words


def test_a_table_of_an_extension_that_there_is_not(site):
    site.configure(**{"plugins.tides": "height = 7"})

    assert "[plugins.tides]" in site.one("plugin-unusable").sentence


def test_what_parts_say_of_themselves(site):
    site.install("tide", EXTENSION % ("pass", "pass"))
    assert site.one("plugin-remark").sentence == "the tide is high; wait"
    own_manager(site, "    def warnings(self):\n        return ['it is slow; wait']")
    assert site.one("manager-remark").sentence == "it is slow; wait"
    site.install("forgetful", OWN_STORAGE)
    site.configure(storage=f'use = "own"\nuniverse = "{site.universe}"')
    assert site.one("storage-remark").sentence == "it forgets; take another"
    site.install("old", OWN_FORMAT)
    site.configure(jdl='use = "own"')
    assert site.one("format-remark").sentence == "it is of the last century; take another"


def test_an_extension_is_asked_after_it_was_opened_and_about_what_it_was_given(site):
    site.install(
        "tide",
        """
from opus_core import hookimpl
from opus_core.extensions import Extension
from opus_core.finding import ok

class Tide(Extension):
    name = "tide"
    about = "tides"
    told = ("before it was checked",)

    @hookimpl
    def opus_observers(self):
        return {}

    def check(self):
        self.told = ("before it was opened",)

    def open(self, site):
        self.told = (f"opened; base_url is {site.base_url}",)

    def warnings(self):
        return self.told

    def findings(self):
        yield ok("tide", self.told[0])

@hookimpl
def opus_register_extension():
    return Tide
""",
    )
    told = "opened; base_url is None"
    assert site.one("plugin-remark").sentence == told
    assert told in [one.sentence for one in site.findings() if one.subject == "tide"]


def test_a_plugin_that_fails_when_it_is_asked(site):
    own_manager(site, "    def findings(self):\n        raise RuntimeError('odd')")

    found = site.one("plugin-stumbled")

    assert found.sentence == "asked what it has found, own failed: RuntimeError: odd"


def test_a_database_that_is_not_there(site):
    site.install(
        "filed",
        """
from dataclasses import dataclass
from pathlib import Path
from opus_core import hookimpl
from opus_core.testing.memory import MemoryOptions, MemoryStorage

@dataclass(frozen=True, slots=True, kw_only=True)
class Options(MemoryOptions):
    path: Path = Path("memory.file")
    password_file: Path | None = None

class Filed(MemoryStorage):
    name = "filed"
    Options = Options

@hookimpl
def opus_register_storage():
    return Filed
""",
    )
    secret = site.folder / "password"
    secret.write_text("secret")
    secret.chmod(0o644)
    table = f'use = "filed"\nuniverse = "{site.universe}"\npassword_file = "{secret}"'
    site.configure(storage=table)
    assert f"there is no {site.data}/memory.file" in site.one("storage-missing").sentence
    (site.data / "memory.file").touch()
    found = site.one("secret-file-readable-by-all")
    assert found.subject == "filed password_file"
    assert f"chmod o= {secret}" in found.sentence


@pytest.mark.parametrize(
    ("says", "is_prepared", "is_told"),
    [("'it has no tables yet'", False, True), ("''", False, False), ("None", True, False)],
)
def test_a_storage_is_prepared_only_if_it_cannot_say_whether_it_is(
    site, says, is_prepared, is_told
):
    begun = site.folder / "prepared"
    site.install(
        "asked",
        f"""
from pathlib import Path
from opus_core import hookimpl
from opus_core.testing.memory import MemoryStorage

class Asked(MemoryStorage):
    name = "asked"

    def unprepared(self):
        return {says}

    def prepare(self):
        Path({str(begun)!r}).touch()

@hookimpl
def opus_register_storage():
    return Asked
""",
    )
    site.configure(storage=f'use = "asked"\nuniverse = "{site.universe}"')
    found = site.wrong()
    assert begun.exists() is is_prepared
    assert found.keys() == ({"storage-schema"} if is_told else set())
    if is_told:
        assert found["storage-schema"][0].sentence.startswith("it has no tables yet; the next")


# -- what an auditor would ask; most of it is asked of servers in tests/security


def test_services_that_everybody_asks(site):
    site.configure(
        'base_url = "https://opus.invalid"',
        auth="anonymous = true",
        client='servers = ["https://192.0.2.7/async"]',
    )

    assert site.one("security-services-anonymous", security.findings).subject == "servers"


def test_a_storage_without_accounts(site):
    site.install(
        "without",
        OWN_STORAGE.replace(
            "    def warnings", "    def accounts(self):\n        return None\n\n    def warnings"
        ),
    )
    site.configure(storage=f'use = "own"\nuniverse = "{site.universe}"')

    found = site.one("security-no-accounts", security.findings)

    assert found.sentence == "the own storage keeps none"
