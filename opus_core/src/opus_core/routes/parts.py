"""What the web side is made of, as the composition hands it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from opus_core import __version__
from opus_core import job as jobs
from opus_core.announcements import Announcements
from opus_core.auth.identity import Authenticate, Door
from opus_core.auth.people import People
from opus_core.auth.policy import Policy
from opus_core.auth.tickets import Tickets
from opus_core.backends import Jdl, Storage
from opus_core.definitions import Catalogue
from opus_core.disk import Place
from opus_core.elsewhere import Services
from opus_core.extensions import Routes
from opus_core.folder import Folders
from opus_core.forms import FormLimits
from opus_core.heavy import Turns
from opus_core.plugins import Plugin
from opus_core.proxy import Proxy
from opus_core.publishing import Publishing
from opus_core.routes.handover import Handover
from opus_core.service import JobService


class Around(Protocol):
    """What every application of ours knows of itself: this server, or the client alone."""

    @property
    def base_url(self) -> str | None: ...
    @property
    def debug(self) -> bool: ...
    @property
    def limits(self) -> FormLimits: ...
    @property
    def turns(self) -> Turns: ...
    @property
    def private(self) -> bool: ...
    @property
    def proxies(self) -> tuple[str, ...]: ...
    @property
    def user_header(self) -> str | None: ...
    @property
    def origins(self) -> tuple[str, ...]: ...
    @property
    def pages(self) -> bool: ...
    @property
    def samp(self) -> bool: ...
    @property
    def accounts(self) -> bool: ...
    @property
    def alone(self) -> bool: ...
    @property
    def services(self) -> Services: ...
    @property
    def title(self) -> str: ...
    @property
    def version(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that a request can need."""

    service: JobService
    catalogue: Catalogue
    folders: Folders
    storage: Storage
    policy: Policy
    publishing: Publishing
    tickets: Tickets
    authenticate: Authenticate
    people: People | None = None  # the accounts; None: the storage keeps none
    jdl: Jdl | None = None  # the format that descriptions are shown in; None: JSON alone
    base_url: str | None = None  # in every URL that is written; derived from the request if absent
    debug: bool = False  # error pages carry the trace
    limits: FormLimits = field(default_factory=FormLimits)
    turns: Turns = field(default_factory=Turns)  # of requests that need much memory
    job_servers: tuple[str, ...] = ()  # addresses or networks that may post events without a token
    private: bool = False  # only this machine can ask, so it is called by one of its own names
    proxies: tuple[str, ...] = ()  # whose X-Forwarded-* headers are believed
    user_header: str | None = None  # in which they name the user
    origins: tuple[str, ...] = ()  # other sites whose pages may use this server; `*`: any
    handover: Handover | None = None  # files are sent by the web server in front
    plugins: Callable[[], Sequence[Plugin]] = tuple  # those that are installed
    places: tuple[Place, ...] = ()  # whose disks may get full
    samp: bool = True  # results are sent to programs of their readers
    pages: bool = True  # browsers are shown pages; else all get what programs do
    services: Services = field(default_factory=Services)  # those of others that pages are for
    proxy: Proxy | None = None  # asks them; None: there are none
    jdls: tuple[Jdl, ...] = ()  # the formats that descriptions of theirs may be in
    mounted: Mapping[str, Routes] = field(default_factory=dict)  # below /plugins/NAME
    title: str = "OPUS"
    version: str = __version__
    up_since: datetime = field(default_factory=jobs.now)

    @property
    def alone(self) -> bool:
        """It has pages, and no jobs of its own."""
        return False

    @property
    def accounts(self) -> bool:
        """Somebody can sign in here."""
        return self.people is not None

    @property
    def announcements(self) -> Announcements:
        """What the site wants everybody to know."""
        return Announcements(self.storage)

    @property
    def door(self) -> Door:
        """What recognises callers."""
        return Door(people=self.people, authenticate=self.authenticate)
