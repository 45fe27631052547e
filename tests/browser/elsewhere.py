"""The client by itself, and services for it: two OPUS, and two that are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from browser import gallery
from browser.foreign import foreign
from browser.sites import say_site
from browser.tab import Tab
from servers import Site, free_port, site


@dataclass
class Elsewhere:
    """The client's own address, and what it is for."""

    url: str
    near: Site  # lets pages of the client ask; for those who have signed in
    far: Site  # does not
    old: str
    recent: str

    def address(self, page: str, service: str, **query: str) -> str:
        """Of a page about a service."""
        return f"{self.url}/services/{page}?{urlencode({'SERVICE': service, **query})}"

    def open(self, tab: Tab, page: str, service: str, **query: str) -> Tab:
        return tab.open(self.address(page, service, **query))


@contextmanager
def client_alone(folder: Path, port: int, *servers: str) -> Iterator[Site]:
    """The client by itself, for these services."""
    with site(folder) as one:
        one.port = port
        process = one.start("client", f"--port={port}", *(f"--server={url}" for url in servers))
        one.wait_until_up(process)
        yield one


@contextmanager
def elsewhere(folder: Path) -> Iterator[Elsewhere]:
    """All of them, running."""
    port = free_port()
    with ExitStack() as opened:
        near = opened.enter_context(say_site(folder / "near", port, auth="anonymous = false"))
        near.opus("user", "add", "ann")
        far = opened.enter_context(say_site(folder / "far", free_port()))
        far.describe("gallery", gallery.SCRIPT, gallery.WADL)
        for one in (near, far):
            one.serve()
        old = opened.enter_context(foreign(recent=False))
        recent = opened.enter_context(foreign(recent=True, closed=True))
        servers = (near.url, far.url, old, recent)
        client = opened.enter_context(client_alone(folder / "client", port, *servers))
        yield Elsewhere(url=client.url, near=near, far=far, old=old, recent=recent)
