"""The extension itself: an observer for each target, so that none of them holds up another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from opus_core import hookimpl, job
from opus_core.errors import ConfigError
from opus_core.extensions import Extension, Site
from opus_core.facts import about
from opus_core.job import Change
from opus_notify import addresses, private
from opus_notify.event import Links
from opus_notify.mail import Mail
from opus_notify.options import OWNER, NotifyOptions
from opus_notify.session import Server
from opus_notify.webhook import Webhook

log = logging.getLogger(__name__)


class Target(Protocol):
    """Whoever is told."""

    name: str

    def tell(self, change: Change) -> None:
        """Tell it; `Unavailable` if it has to be told again, and nothing after it before."""


class Notify(Extension):
    """Tells of jobs by e-mail and webhook. What is still to be told is not kept here: the journal
    has it, and the storage remembers how far each target has heard it."""

    name = "notify"
    about = "tells people and programs of jobs, by e-mail and webhook"
    Options = NotifyOptions

    def __init__(self, options: NotifyOptions) -> None:
        super().__init__(options)
        self._options = options
        self._keys: tuple[bytes, ...] = ()
        self._password: str | None = None
        self._site: Site | None = None

    def check(self) -> None:
        """Read the secrets. No target is asked: one that is down is no reason not to start."""
        options = self._options
        if options.webhook_secret_file is not None:
            self._keys = private.signing_keys(options.webhook_secret_file)
        elif options.webhooks:
            raise ConfigError(
                "[plugins.notify] webhooks need webhook_secret_file: without a signature receivers"
                " could not know who posts"
            )
        if options.smtp_password_file is not None:
            self._password = private.password(options.smtp_password_file)

    def open(self, site: Site) -> None:
        """Remember where to look up jobs and their owners."""
        self._site = site

    def warnings(self) -> Sequence[str]:
        """What is told without being of full use."""
        options, site = self._options, self._site
        if site is None or not (options.webhooks or options.smtp):
            return ()
        found = []
        if site.base_url is None:
            found.append("without base_url, what is told of a job has no link to it")
        if options.smtp and OWNER in options.mail_to and site.storage.accounts() is None:
            found.append("owners get no e-mail: this storage keeps no accounts")
        return found

    @hookimpl
    def opus_observers(self) -> Mapping[str, Callable[[Change], None]]:
        """One for each webhook, and one for e-mail."""
        return {target.name: self._observer(target) for target in self._targets()}

    def _targets(self) -> list[Target]:
        options, site = self._options, self._site
        if site is None:
            return []
        links = Links(site.base_url)
        targets: list[Target] = [
            Webhook(
                url,
                keys=self._keys,
                links=links,
                timeout=options.timeout,
                give_up_refused=options.give_up_refused,
            )
            for url in options.webhooks
        ]
        sender = addresses.sender(options.sender or "")
        if options.mail_server is not None and sender is not None:
            host, port = options.mail_server
            server = Server(
                host=host,
                port=port,
                security=options.smtp_security,
                user=options.smtp_user,
                password=self._password,
            )
            targets.append(
                Mail(
                    server,
                    sender=sender,
                    mail_to=options.mail_to,
                    storage=site.storage,
                    links=links,
                    timeout=options.timeout,
                )
            )
        return targets

    def _observer(self, target: Target) -> Callable[[Change], None]:
        options = self._options

        def observe(change: Change) -> None:
            if change.new is None or change.new not in options.phases:
                return
            if options.definitions and change.definition.name not in options.definitions:
                return
            if (job.now() - change.time).total_seconds() > options.give_up:
                log.warning(
                    "given up: it is older than %d s",
                    options.give_up,
                    extra=about(target=target.name, job=change.job_id, phase=change.new),
                )
                return
            target.tell(change)

        return observe
