from __future__ import annotations

import logging
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

from opus_core import backends, hookimpl, hookspecs, plugins
from opus_core.backends import RequestView, User
from opus_core.config import Config, Plugins, Selection
from opus_core.errors import ConfigError, NotAuthenticated, PluginError
from opus_core.extensions import Extension, Routes
from opus_core.job import Change, DefinitionRef, Phase
from opus_core.plugins import Plugin, Registry, State

CHANGE = Change(
    seq=1,
    job_id="0" * 32,
    definition=DefinitionRef("periodogram", 1),
    owner=None,
    run_id=None,
    old=None,
    new=Phase.PENDING,
    time=datetime(2024, 1, 1, tzinfo=UTC),
)
REQUEST = RequestView(
    method="GET", path="/rest", headers={}, remote_addr="127.0.0.1", remote_user=None
)


class Rocket(backends.Manager):
    """A manager that can be selected."""

    name = "rocket"
    about = "jobs on a rocket"

    @dataclass(frozen=True, kw_only=True)
    class Options:
        stages: int = 2
        log: Path = Path("rocket.log")

    def start(self, task):
        raise NotImplementedError

    find = get_status = abort = start


class Runes(backends.Jdl):
    """A format that can be selected."""

    name = "runes"
    about = "job descriptions in stone"
    suffix = ".runes"
    media_type = "text/x-runes"

    def recognises(self, head):
        raise NotImplementedError

    loads = dumps = recognises


def offering(*offered: object, kind: str = "manager") -> ModuleType:
    """A plugin that returns these from `opus_register_<kind>`."""
    return implementing(**{f"opus_register_{kind}": lambda: list(offered)})


def implementing(**hooks) -> ModuleType:
    module = ModuleType("plugin")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def using(manager: str = "rocket", **options) -> Config:
    selection = Selection(use=manager, options=options)
    return Config(
        manager=selection, data_dir=Path("/data"), path=Path("/etc/opus.toml"), base=Path("/etc")
    )


def registry(**modules: ModuleType) -> Registry:
    found = Registry()
    for name, module in modules.items():
        found.register(module, name)
    return found


def install(
    folder: Path, distribution: str, source: str | None, entry: str = "", version: str = "1.0"
) -> None:
    """What an installed distribution leaves in a folder of the path."""
    module = distribution.replace("-", "_")
    if source is not None:
        (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    (info / "entry_points.txt").write_text(f"[opus]\n{entry or module} = {module}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder to install into; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [path.stem for path in tmp_path.glob("*.py")]:
        sys.modules.pop(name, None)


def discovered(site: Path, disabled=()) -> dict[str, Plugin]:
    """The rows of what is installed in `site`, by distribution."""
    found = Registry()
    found.discover(disabled)
    here = {path.name.split("-")[0].replace("_", "-") for path in site.glob("*.dist-info")}
    return {row.distribution: row for row in found.plugins() if row.distribution in here}


ROCKET = """
from opus_core import hookimpl
from opus_core.backends import Manager

class Rocket(Manager):
    name = "rocket"
    about = "jobs on a rocket"
    def start(self, task): ...
    def find(self, tags): ...
    def get_status(self, refs): ...
    def abort(self, ref): ...

@hookimpl
def opus_register_manager():
    return Rocket
"""


LISTENING = """
from opus_core import hookimpl

@hookimpl
def opus_job_phase_changed(change): ...
"""


# --- finding


def test_an_installed_plugin_is_found_with_its_origin_and_what_it_offers(site):
    install(site, "opus-rocket", ROCKET, entry="moon", version="2.5")

    assert discovered(site) == {
        "opus-rocket": Plugin(
            name="moon",
            distribution="opus-rocket",
            version="2.5",
            hooks=("opus_register_manager",),
            offers=("manager rocket",),
            about=("jobs on a rocket",),
        )
    }


BROKEN = {
    "it fails to import": ("import no_such_module", "No module named 'no_such_module'"),
    "it ends the process": ("raise SystemExit(3)", "SystemExit: 3"),
    "a hook is misspelt": (
        ROCKET.replace("opus_register_manager", "opus_regster_manager"),
        "there is no hook opus_regster_manager; did you mean opus_register_manager?",
    ),
    "an argument is misspelt": (
        "from opus_core import hookimpl\n@hookimpl\ndef opus_job_phase_changed(chang): ...",
        "opus_job_phase_changed has no argument chang; those it may have: change",
    ),
    "nothing is marked": (
        ROCKET.replace("@hookimpl", ""),
        "it implements no hook; mark its functions with @opus_core.hookimpl",
    ),
    "it raises when it is asked": (
        ROCKET.replace("return Rocket", "raise OSError('no rocket here')"),
        "it failed to register: OSError: no rocket here",
    ),
    "a method is missing": (
        ROCKET.replace("    def find(self, tags): ...\n", ""),
        "Rocket does not implement find",
    ),
    "the class is of another kind": (
        ROCKET.replace("opus_register_manager", "opus_register_storage"),
        "opus_register_storage returned Rocket, which is not a subclass of "
        "opus_core.backends.Storage",
    ),
    "an instance is returned": (
        ROCKET.replace("return Rocket", "return 7"),
        "opus_register_manager must return a class, not 7",
    ),
    "the name is unusable": (
        ROCKET.replace('"rocket"', '"My Rocket"'),
        "Rocket.name must be of lower case letters, digits and _, not 'My Rocket'",
    ),
    "the sentence about it is missing": (
        ROCKET.replace('    about = "jobs on a rocket"\n', ""),
        "Rocket.about must be a string that is not empty, not None",
    ),
    "the options cannot be filled": (
        ROCKET.replace("    def start", "    Options = dict\n    def start"),
        "Rocket: Options is not a dataclass",
    ),
    "it offers a name twice": (
        ROCKET.replace("return Rocket", "return [Rocket, Rocket]"),
        "it offers two managers of the name rocket",
    ),
}


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_keeps_its_cause_and_stops_no_other(site, caplog, source, cause):
    install(site, "opus-broken", source)
    install(site, "opus-rocket", ROCKET)

    rows = discovered(site)

    assert rows["opus-broken"].state is State.BROKEN
    assert rows["opus-broken"].cause.endswith(cause)
    assert rows["opus-broken"].offers == ()
    assert rows["opus-rocket"].state is State.OK
    [warning] = [one for one in caplog.records if one.facts.get("plugin") == "opus_broken"]
    assert warning.getMessage().endswith(cause)


def test_two_distributions_with_one_entry_name_are_both_loaded_and_reported(site):
    install(site, "opus-one", ROCKET, entry="moon")
    install(site, "opus-two", ROCKET.replace("rocket", "balloon"), entry="moon")

    rows = discovered(site)

    assert rows["opus-one"].offers == ("manager rocket",)
    assert rows["opus-two"].offers == ("manager balloon",)
    assert rows["opus-one"].cause == "opus-two 1.0 has a plugin moon, too"
    assert rows["opus-two"].cause == "opus-one 1.0 has a plugin moon, too"


def test_a_back_end_that_two_distributions_offer_cannot_be_selected(site):
    install(site, "opus-one", ROCKET)
    install(site, "opus-two", ROCKET)
    found = Registry()
    found.discover()

    with pytest.raises(PluginError) as caught:
        found.manager(using("rocket"))
    assert str(caught.value) == (
        "/etc/opus.toml: [manager] use = 'rocket': opus-one 1.0 and opus-two 1.0 both offer a "
        "manager of the name rocket; uninstall one of them, or name its plugin in [plugins] "
        "disabled"
    )

    other = Registry()
    other.discover(disabled=("opus_two",))
    assert other.manager(using("rocket")).name == "rocket"


def test_a_disabled_plugin_is_listed_and_never_imported(site):
    install(site, "opus-rocket", "raise SystemExit('imported')")

    rows = discovered(site, disabled=("opus_rocket",))

    assert rows["opus-rocket"].state is State.DISABLED
    assert "opus_rocket" not in sys.modules


def test_disabling_what_is_not_installed_is_a_warning_with_the_nearest_name(site, caplog):
    install(site, "opus-rocket", ROCKET)

    discovered(site, disabled=("opus_roket",))

    assert "opus_roket, which is not installed; did you mean opus_rocket?" in caplog.text


def test_two_entries_may_name_one_module(site):
    install(site, "opus-rocket", ROCKET)
    install(site, "opus-old", None)
    entries = site / "opus_old-1.0.dist-info" / "entry_points.txt"
    entries.write_text("[opus]\nold = opus_rocket\n")

    assert {row.state for row in discovered(site).values()} == {State.OK}


def test_discovering_again_finds_only_what_is_new(site):
    install(site, "opus-rocket", ROCKET)
    found = Registry()
    found.discover()
    before = found.plugins()

    found.discover()

    assert found.plugins() == before


# --- choosing


def test_the_selected_class_is_made_with_the_options_of_its_table():
    manager = registry(moon=offering(Rocket)).manager(using("rocket", stages=3))

    assert isinstance(manager, Rocket)
    assert manager.options == Rocket.Options(stages=3, log=Path("/data/rocket.log"))


def test_a_plugin_may_return_one_class_or_none():
    one = registry(moon=implementing(opus_register_manager=lambda: Rocket))
    none = registry(moon=implementing(opus_register_manager=lambda: None))

    assert one.plugins()[0].offers == ("manager rocket",)
    assert none.plugins()[0].offers == ()


def test_a_wrong_option_is_told_with_file_and_table():
    with pytest.raises(ConfigError) as caught:
        registry(moon=offering(Rocket)).manager(using("rocket", stage=3))
    assert str(caught.value) == (
        "/etc/opus.toml: [manager] has no key stage; did you mean stages? Legal: stages, log"
    )


def test_a_name_that_nobody_offers_is_told_with_the_nearest():
    with pytest.raises(PluginError) as caught:
        registry(moon=offering(Rocket)).manager(using("rokcet"))
    assert str(caught.value) == (
        "/etc/opus.toml: [manager] use = 'rokcet': no installed plugin offers a manager of that "
        "name; installed: rocket; did you mean rocket?"
    )


def test_without_any_plugin_the_sentence_says_that_the_choice_is_by_default():
    with pytest.raises(PluginError) as caught:
        Registry().storage(Config())
    assert str(caught.value) == (
        "[storage] by default: use = 'sqlite': no installed plugin offers a storage of that name; "
        "installed: none; is its package installed?"
    )


def test_selecting_what_a_broken_plugin_offers_quotes_and_chains_the_cause(site):
    install(site, "opus-rocket", "import no_such_module", entry="rocket")
    found = Registry()
    found.discover()

    with pytest.raises(PluginError) as caught:
        found.manager(using("rocket"))

    assert str(caught.value) == (
        "/etc/opus.toml: [manager] use = 'rocket': the plugin of opus-rocket 1.0 is broken: "
        "ModuleNotFoundError: No module named 'no_such_module'"
    )
    cause = caught.value.__cause__
    assert cause is not None
    assert isinstance(cause.__cause__, ModuleNotFoundError)


def test_a_broken_plugin_is_recognised_by_the_back_end_it_meant_to_offer(site):
    install(site, "opus-broken", BROKEN["a method is missing"][0])
    found = Registry()
    found.discover()

    with pytest.raises(PluginError, match=r"opus-broken 1\.0 is broken: Rocket does not implement"):
        found.manager(using("rocket"))


def test_selecting_what_is_disabled_says_so(site):
    install(site, "opus-rocket", ROCKET, entry="rocket")
    found = Registry()
    found.discover(disabled=("rocket",))

    with pytest.raises(PluginError, match=r"the plugin rocket is named in \[plugins\] disabled"):
        found.manager(using("rocket"))


def test_a_back_end_that_cannot_be_made_is_named_with_its_error():
    class Stubborn(Rocket):
        def __init__(self, options):
            raise OSError("no")

    with pytest.raises(PluginError, match="Stubborn cannot be made: OSError: no"):
        registry(moon=offering(Stubborn)).manager(using("rocket"))


def test_every_format_is_there_to_read_and_the_selected_one_is_first(caplog):
    class Knots(Runes):
        name = "knots"

    class Needy(Runes):
        name = "needy"

        @dataclass(frozen=True)
        class Options:
            quarry: str

    found = registry(stone=offering(Runes, Needy, kind="jdl"), rope=offering(Knots, kind="jdl"))
    config = Config(jdl=Selection(use="knots"))

    assert [jdl.name for jdl in found.jdls(config)] == ["knots", "runes"]
    assert found.jdl(config).name == "knots"
    assert "the format needy is left out" in caplog.text


def test_registering_a_broken_plugin_raises_and_is_listed():
    found = Registry()
    with pytest.raises(PluginError, match="the plugin moon is broken: there is no hook opus_x"):
        found.register(implementing(opus_x=lambda: None), "moon")
    assert found.plugins()[0].state is State.BROKEN


def test_the_plugin_whose_back_end_is_in_use_is_selected():
    found = registry(moon=offering(Rocket), stone=offering(Runes, kind="jdl"))

    rows = {row.name: row.state for row in found.plugins(using("rocket"))}

    assert rows == {"moon": State.SELECTED, "stone": State.OK}


# --- telling and asking


def test_every_observer_can_be_told_by_its_name():
    heard = []

    def note(change):
        heard.append(("all", change))

    several = {"mail": lambda change: heard.append(("mail", change))}
    found = registry(
        first=implementing(opus_job_phase_changed=note, opus_observers=lambda: several),
        second=implementing(opus_job_phase_changed=lambda: heard.append(("nothing", None))),
        third=implementing(opus_authenticate=lambda request: None),
    ).hooks.observers()

    for name in ("first", "first/mail", "second"):
        found[name](CHANGE)
    assert list(found) == ["first", "first/mail", "second"]
    assert heard == [("all", CHANGE), ("mail", CHANGE), ("nothing", None)]


@pytest.mark.parametrize("way", [1, -1])
def test_two_of_one_name_are_told_each_for_itself_whichever_is_found_first(site, monkeypatch, way):
    for distribution in ("opus-one", "opus-two"):
        install(site, distribution, LISTENING, entry="moon")
    listed = sorted(entry_points(group="opus"), key=lambda point: point.dist.name)
    monkeypatch.setattr(plugins, "entry_points", lambda group: listed[::way])
    found = Registry()
    found.discover()

    assert {"moon", "moon of opus-two"} <= set(found.hooks.observers())


def test_what_a_plugin_cannot_answer_is_logged_and_stops_no_other(caplog):
    def fail():
        raise RuntimeError("deaf")

    routes = Routes(application=lambda environ, start: [])
    found = registry(
        first=implementing(opus_observers=fail, opus_routes=fail),
        second=implementing(opus_observers=lambda: [print], opus_routes=lambda: print),
        third=implementing(opus_observers=lambda: None, opus_routes=lambda: None),
        fourth=implementing(opus_observers=lambda: {"all": print}, opus_routes=lambda: routes),
    )

    assert found.hooks.observers() == {"fourth/all": print}
    assert found.hooks.routes() == {"fourth": routes}
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    named = Counter(one.facts["plugin"] for one in errors)
    assert (named["first"], named["second"]) == (2, 2)


def test_the_first_plugin_that_knows_the_user_answers():
    found = registry(
        silent=implementing(opus_authenticate=lambda request: None),
        knowing=implementing(opus_authenticate=lambda request: User(name="ada")),
    )

    assert found.hooks.authenticate(REQUEST) == User(name="ada")
    assert Registry().hooks.authenticate(REQUEST) is None


def test_wrong_credentials_and_a_mistake_in_a_plugin_let_nobody_in():
    def refuse(request):
        raise NotAuthenticated("this ticket is over")

    def stumble(request):
        raise KeyError("ticket")

    with pytest.raises(NotAuthenticated, match="this ticket is over"):
        registry(door=implementing(opus_authenticate=refuse)).hooks.authenticate(REQUEST)
    with pytest.raises(KeyError):
        registry(door=implementing(opus_authenticate=stumble)).hooks.authenticate(REQUEST)


def test_a_broken_plugin_is_neither_told_nor_asked():
    found = Registry()
    called = []
    module = offering(7)
    module.opus_authenticate = hookimpl(lambda request: called.append(request))
    module.opus_job_phase_changed = hookimpl(lambda change: called.append(change))
    with pytest.raises(PluginError):
        found.register(module, "broken")

    assert found.hooks.observers() == {}
    assert found.hooks.authenticate(REQUEST) is None
    assert called == []


# --- extensions


class Bell(Extension):
    """One that can do without options."""

    name = "bell"
    about = "rings when a job is over"

    @dataclass(frozen=True, kw_only=True)
    class Options:
        tone: str = "c"

    @hookimpl
    def opus_job_phase_changed(self, change):
        RUNG.append((self.options.tone, change.seq))

    @hookimpl
    def opus_authenticate(self, request):
        return User(name=self.options.tone)


class Gate(Bell):
    """One that cannot."""

    name = "gate"
    about = "opens for who has the key"

    @dataclass(frozen=True, kw_only=True)
    class Options:
        key: str
        tone: str = "g"


RUNG: list[tuple[str, int]] = []


def with_tables(**tables) -> Config:
    return Config(
        plugins=Plugins(tables=tables),
        data_dir=Path("/data"),
        path=Path("/etc/opus.toml"),
        base=Path("/etc"),
    )


def test_the_methods_of_an_extension_are_hooks_and_know_its_options():
    RUNG.clear()
    found = registry(tower=offering(Bell, kind="extension"))
    [bell] = found.extensions(with_tables(bell={"tone": "d"}))

    found.hooks.observers()["bell"](CHANGE)

    assert bell.options == Bell.Options(tone="d")
    assert RUNG == [("d", 1)]
    assert found.hooks.authenticate(REQUEST) == User(name="d")


def test_an_extension_may_have_the_name_of_its_plugin():
    found = registry(bell=offering(Bell, kind="extension"))
    found.extensions(with_tables())

    assert list(found.hooks.observers()) == ["bell"]


def test_an_extension_is_made_if_it_has_a_table_or_needs_none():
    def made(**tables):
        found = registry(tower=offering(Bell, Gate, kind="extension"))
        return [one.name for one in found.extensions(with_tables(**tables))]

    assert made() == ["bell"]
    assert made(gate={"key": "k"}) == ["bell", "gate"]


def test_a_plugin_is_selected_by_an_extension_in_use_and_says_what_the_others_need():
    found = registry(tower=offering(Bell, kind="extension"), wall=offering(Gate, kind="extension"))

    rows = {row.name: row for row in found.plugins(with_tables())}
    assert rows["tower"].state is State.SELECTED
    assert rows["wall"].state is State.OK
    assert rows["wall"].cause == "not in use: [plugins.gate] is absent, and it needs key"
    rows = {row.name: row for row in found.plugins(with_tables(gate={"key": "k"}))}
    assert rows["wall"].state is State.SELECTED
    assert rows["wall"].cause == ""


TABLES = {
    "a key is misspelt": (
        {"bell": {"tne": "d"}},
        "[plugins.bell] has no key tne; did you mean tone? Legal: tone",
    ),
    "a key is missing": ({"gate": {}}, "[plugins.gate] needs the key key"),
    "the name is misspelt": (
        {"bel": {}},
        "[plugins.bel] no installed plugin has an extension of that name; installed: bell, gate; "
        "did you mean bell?",
    ),
    "the plugin has no options": ({"door": {}}, "[plugins.door] the plugin door has no options"),
    "the plugin is broken": (
        {"ruin": {}},
        "[plugins.ruin] the plugin of the plugin ruin is broken: there is no hook opus_x; there "
        "are: ",
    ),
}


@pytest.mark.parametrize(("tables", "sentence"), TABLES.values(), ids=TABLES)
def test_a_mistake_in_the_table_of_an_extension_is_told(tables, sentence):
    found = registry(
        tower=offering(Bell, Gate, kind="extension"),
        door=implementing(opus_authenticate=lambda request: None),
    )
    with pytest.raises(PluginError):
        found.register(implementing(opus_x=lambda: None), "ruin")

    with pytest.raises(ConfigError) as caught:
        found.extensions(with_tables(**tables))
    assert str(caught.value).startswith(f"/etc/opus.toml: {sentence}")


def test_the_table_of_a_disabled_plugin_is_no_mistake(site):
    install(site, "opus-rocket", "raise SystemExit('imported')")
    found = Registry()
    found.discover(disabled=("opus_rocket",))

    assert "bell" not in [one.name for one in found.extensions(with_tables(opus_rocket={}))]


def test_two_extensions_of_one_name_are_refused():
    found = registry(one=offering(Bell, kind="extension"), two=offering(Bell, kind="extension"))
    with pytest.raises(PluginError, match="both offer an extension of the name bell"):
        found.extensions(with_tables())


class Silent(Extension):
    name = about = "odd"


class Misspelt(Silent):
    @hookimpl
    def opus_route(self): ...


class Offering(Silent):
    @hookimpl
    def opus_register_jdl(self): ...


UNUSABLE = {
    Silent: "Silent implements no hook; mark its methods with @opus_core.hookimpl",
    Misspelt: "Misspelt: there is no hook opus_route; did you mean opus_routes?",
    Offering: "Offering.opus_register_jdl must be a function of the module, not a method",
}


@pytest.mark.parametrize(("odd", "cause"), UNUSABLE.items())
def test_an_extension_that_nobody_could_call_is_broken(odd, cause):
    with pytest.raises(PluginError) as caught:
        registry(odd=offering(odd, kind="extension"))
    assert caught.value.sentence == f"the plugin odd is broken: {cause}"


def test_every_hook_says_when_it_is_called_and_is_tested_here():
    hooks = [name for name in vars(hookspecs) if name.startswith("opus_")]
    tests = Path(__file__).read_text()

    assert hooks
    for name in hooks:
        assert getattr(hookspecs, name).__doc__, name
        kind = name.removeprefix("opus_register_")
        assert name in tests or f'kind="{kind}"' in tests, name
