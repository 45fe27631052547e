"""The whole server put together from a configuration: back ends, service, supervisor, web."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path

import bottle

import opus_core
from opus_core import hosts, routes
from opus_core.auth.audit import Audit
from opus_core.auth.people import People
from opus_core.auth.policy import Policy
from opus_core.auth.sessions import Lifetimes
from opus_core.auth.tickets import Tickets
from opus_core.backends import Jdl, Limits, Manager, Storage
from opus_core.client import Client
from opus_core.config import Config
from opus_core.datadir import DataDir, open_data_dir
from opus_core.definitions import Catalogue
from opus_core.disk import ROOM, Place
from opus_core.errors import ConfigError, OpusError, PluginError
from opus_core.extensions import Extension, Site
from opus_core.fetching import Fetch
from opus_core.folder import Folders
from opus_core.forms import FormLimits
from opus_core.heavy import Turns
from opus_core.lifecycle import Policy as EndPolicy
from opus_core.plugins import Registry
from opus_core.proxy import Proxy
from opus_core.publishing import Publishing
from opus_core.roots import job_folders
from opus_core.routes import handover
from opus_core.service import JobService
from opus_core.supervisor import Settings, Supervisor
from opus_core.waiting import Watcher

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Opus:
    """One opened installation. `close` gives everything back."""

    config: Config
    registry: Registry
    storage: Storage
    manager: Manager
    jdl: Jdl
    jdls: tuple[Jdl, ...]  # every format that is installed, that one first
    data_dir: DataDir
    catalogue: Catalogue
    folders: Folders
    watcher: Watcher
    service: JobService
    policy: Policy
    people: People | None
    extensions: tuple[Extension, ...] = ()
    _supervisors: list[Supervisor] = field(default_factory=list)

    def supervisor(self, event_url: str | None = None) -> Supervisor:
        """A supervisor of this installation, not yet started.

        `event_url`: where wrappers reach this process's web side, if nothing is configured.
        """
        config = self.config
        for backend in (self.storage, self.manager, self.jdl, *self.extensions):
            for sentence in backend.warnings():
                log.warning("%s: %s", backend.name, sentence)
        base = config.server.event_url or config.base_url or event_url
        settings = Settings(
            policy=EndPolicy(
                overuse_is_error=config.jobs.overuse_is_error, grace=config.supervisor.grace
            ),
            poll_interval=config.supervisor.poll_interval,
            event_interval=config.supervisor.event_interval,
            min_free=config.jobs.min_free,
            archive=config.jobs.archive,
            event_url=f"{base.rstrip('/')}/handler/job_event" if base else None,
            lease_seconds=config.supervisor.lease_seconds,
            session_idle=config.auth.session_idle,
            audit_kept=config.auth.audit_kept,
            fetch=Fetch(
                hosts=hosts.parse(config.jobs.fetch_hosts),
                max_bytes=config.jobs.max_upload,
                seconds=config.jobs.fetch_time,
            ),
        )
        supervisor = Supervisor(
            storage=self.storage,
            manager=self.manager,
            catalogue=self.catalogue,
            folders=self.folders,
            data_dir=self.data_dir,
            settings=settings,
            changed=self.watcher.changed,
            observers=self.registry.hooks.observers(),
        )
        self._supervisors.append(supervisor)
        return supervisor

    @property
    def form_limits(self) -> FormLimits:
        """What one request may bring."""
        return form_limits(self.config)

    def wsgi(self, *, private: bool = False) -> bottle.Bottle:
        """The web side: a WSGI application; `private` if its server listens on loopback alone."""
        config, services = self.config, self.config.client.services
        return routes.make_app(
            routes.Parts(
                service=self.service,
                catalogue=self.catalogue,
                folders=self.folders,
                storage=self.storage,
                policy=self.policy,
                publishing=Publishing(self.catalogue, self.policy, self.storage),
                tickets=Tickets(self.data_dir.secret),
                jdl=self.jdl,
                authenticate=self.registry.hooks.authenticate,
                people=self.people,
                handover=handover.parse(config.server.sendfile, self.folders.root),
                origins=tuple(map(str.lower, config.server.cors_origins)),
                base_url=config.base_url,
                debug=config.debug,
                limits=self.form_limits,
                turns=Turns(waiting=config.server.threads // 2),
                job_servers=config.auth.job_servers,
                private=private,
                proxies=config.server.trusted_proxies,
                user_header=config.auth.user_header,
                plugins=lambda: self.registry.plugins(config),
                places=self._places(),
                samp=config.client.samp,
                pages=config.client.merge,
                services=services,
                proxy=Proxy(services, at_once=_at_once(config)),
                jdls=self.jdls,
                mounted=self.registry.hooks.routes(),
            )
        )

    def _places(self) -> tuple[Place, ...]:
        """Where this server writes."""
        options, min_free = self.storage.options, self.config.jobs.min_free
        # Files that it only reads, with a password say, are called so.
        written = (one.name for one in fields(options) if not one.name.endswith("_file"))
        own = [getattr(options, name) for name in written]
        return (
            Place(name="files of jobs", path=self.folders.root, least=max(ROOM, min_free)),
            Place(name="anything in data_dir", path=self.data_dir.path),
            *(Place(name="the storage", path=one) for one in own if isinstance(one, Path)),
        )

    def changed(self) -> None:
        """A job needs the supervisor: tell the one in this process, if there is one."""
        for supervisor in self._supervisors:
            supervisor.wake()

    def event(self, job_id: str, what: str) -> bool:
        """Something happened to a running job: whether the supervisor in this process looks."""
        return any(supervisor.look_at(job_id, what) for supervisor in self._supervisors)

    def close(self) -> None:
        """Wake all who wait, and close the back ends: each of them, should one not be able to."""
        with ExitStack() as closing:
            for backend in (self.storage, self.jdl, self.manager, *self.extensions):
                closing.callback(backend.close)
            self.watcher.close()


def open_opus(config: Config, *, supervises: bool = True) -> Opus:
    """Open everything the configuration names; a process that only serves never calls the manager,
    and need not be able to.

    Raises `ConfigError`, and `PluginError` among them, with one sentence for the admin.
    """
    registry = Registry.installed(config.plugins.disabled)
    storage = registry.storage(config)
    manager = registry.manager(config)
    jdl = registry.jdl(config)
    extensions = registry.extensions(config)
    data_dir = open_data_dir(config.data_dir)
    for backend in (storage, *((manager,) if supervises else ()), jdl):
        backend.check()
    storage.prepare()
    site = Site(storage=storage, data_dir=data_dir.path, base_url=config.base_url)
    for extension in extensions:
        _take_in(extension, site)
    jdls = registry.jdls(config)
    catalogue = Catalogue(data_dir.path / "definitions", jdl, jdls)
    catalogue.look()  # without it nothing could be shown, and nobody would be told
    folders = job_folders(config, storage, data_dir)
    watcher = Watcher(storage, slots=config.wait_slots, per_user=config.wait_per_user)
    policy = Policy(
        anonymous=config.anonymous,
        anonymous_list=config.anonymous_list,
        publishers_publish=config.auth.publishers_publish,
        access=catalogue.access.of,
    )
    people = people_of(config, storage, data_dir)
    jobs = config.jobs
    opus: Opus | None = None
    service = JobService(
        storage=storage,
        catalogue=catalogue,
        folders=folders,
        watcher=watcher,
        data_dir=data_dir,
        settings=jobs,
        limits=Limits(
            active=jobs.max_active_per_user,
            per_hour=jobs.max_per_hour_per_user,
            bytes=jobs.max_bytes_per_user,
        ),
        anonymous_limits=_anonymous_limits(config),
        policy=policy,
        audit=Audit(storage),
        manager=manager.name,
        can_resume=manager.can_resume,
        run_options=manager.run_options(manager.options),
        on_change=lambda: opus.changed() if opus is not None else None,
        on_event=lambda job_id, what: opus is not None and opus.event(job_id, what),
    )
    opus = Opus(
        config=config,
        registry=registry,
        storage=storage,
        manager=manager,
        jdl=jdl,
        jdls=jdls,
        data_dir=data_dir,
        catalogue=catalogue,
        folders=folders,
        watcher=watcher,
        service=service,
        policy=policy,
        people=people,
        extensions=extensions,
    )
    return opus


def _take_in(extension: Extension, site: Site) -> None:
    """Check and open it. Raises `ConfigError`; what else it raises becomes a `PluginError`."""
    try:
        extension.check()
        extension.open(site)
    except OpusError:
        raise
    except Exception as error:
        raise PluginError(
            f"[plugins.{extension.name}] it cannot begin: {type(error).__name__}: {error}"
        ) from error


def client_of(config: Config, *, private: bool = False) -> Client:
    """The client alone, for the services that are listed; `private` if its server listens on
    loopback alone. A format of descriptions that cannot be loaded is left out."""
    registry = Registry.installed(config.plugins.disabled)
    try:
        jdls = registry.jdls(config)
    except ConfigError as error:
        log.warning("descriptions are read in JSON alone: %s", error)
        jdls = ()
    return Client(
        services=config.client.services,
        jdls=jdls,
        debug=config.debug,
        limits=form_limits(config),
        at_once=_at_once(config),
        private=private,
        proxies=config.server.trusted_proxies,
        samp=config.client.samp,
    )


def _at_once(config: Config) -> int:
    """How many requests to services elsewhere may be under way: each of them keeps a thread."""
    return max(1, config.server.threads // 2)


def form_limits(config: Config) -> FormLimits:
    """What one request may bring."""
    return FormLimits(
        max_text=config.server.max_body,
        max_file=config.jobs.max_upload,
        # A file of just the size that is allowed comes with the form around it.
        max_total=config.jobs.max_upload + config.server.max_body,
        max_files=config.jobs.max_files,
    )


def _anonymous_limits(config: Config) -> Limits:
    jobs, auth = config.jobs, config.auth
    return Limits(
        active=auth.anonymous_active or jobs.max_active_per_user,
        per_hour=auth.anonymous_per_hour or jobs.max_per_hour_per_user,
        bytes=auth.anonymous_bytes or jobs.max_bytes_per_user,
    )


def people_of(config: Config, storage: Storage, data_dir: DataDir) -> People | None:
    """The accounts, where the storage keeps any."""
    accounts = storage.accounts()
    if accounts is None:
        return None
    auth = config.auth
    return People(
        storage,
        accounts,
        secret=data_dir.secret,
        passwords=auth.passwords,
        lifetimes=Lifetimes(
            idle=timedelta(seconds=auth.session_idle),
            longest=timedelta(seconds=auth.session_max),
        ),
    )


@contextmanager
def opened_storage(config: Config) -> Iterator[Storage]:
    """The storage alone, ready to be used, for commands that need no more."""
    storage = Registry.installed(config.plugins.disabled).storage(config)
    try:
        storage.check()
        storage.prepare()
        yield storage
    finally:
        storage.close()


@contextmanager
def opened_people(config: Config) -> Iterator[People]:
    """The accounts alone, for commands that need no manager. Raises `ConfigError` if the storage
    keeps none."""
    data_dir = open_data_dir(config.data_dir)
    with opened_storage(config) as storage:
        people = people_of(config, storage, data_dir)
        if people is None:
            raise ConfigError(f"the {storage.name} storage keeps no accounts")
        yield people


def open_catalogue(config: Config) -> Catalogue:
    """The job descriptions alone, for commands that need no storage and no manager."""
    registry = Registry.installed(config.plugins.disabled)
    jdl = registry.jdl(config)
    data_dir = open_data_dir(config.data_dir)
    return Catalogue(data_dir.path / "definitions", jdl, registry.jdls(config))


def installed_formats(config: Config, folder: Path) -> Catalogue:
    """A catalogue with nothing in it, kept in `folder`, that reads and writes every format."""
    registry = Registry.installed(config.plugins.disabled)
    return Catalogue(folder, registry.jdl(config), registry.jdls(config))


def examples() -> Path | None:
    """The folder of example descriptions: in the package, or in the checkout it was made from."""
    package = Path(opus_core.__file__).parent
    for folder in (package / "examples", package.parents[2] / "examples"):
        if folder.is_dir():
            return folder
    return None
