"""The files that pages are made with: the style sheet, the icon, and the modules of the scripts."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Final

_PAGES: Final = "render/static"
_CLIENT: Final = "client/static"
_CSS: Final = "text/css; charset=utf-8"
_MODULE: Final = "text/javascript; charset=utf-8"

FILES: Final = {
    "opus.css": (_PAGES, _CSS),
    "opus.svg": (_PAGES, "image/svg+xml"),
    "uwsLib.js": ("client/uwslib", _MODULE),
    **{
        f"{name}.js": (_CLIENT, _MODULE)
        for name in (
            *(
                "csv",
                "editor",
                "fill",
                "fits",
                "foreign_list",
                "job_form",
                "job_list",
                "job_page",
                "live",
                "live_note",
                "log_view",
            ),
            *(
                "previews",
                "samp",
                "samp_panel",
                "selection",
                "service",
                "service_job",
                "service_jobs",
                "service_new",
            ),
            *("snippets", "uws_manager", "votable", "votable_binary"),
        )
    },
}
"""By their names: the folder in this package, and the media type."""


@cache
def content(folder: str, file: str) -> bytes:
    """A file of this package, as it is."""
    return resources.files("opus_core").joinpath(folder, file).read_bytes()


@cache
def stamp() -> str:
    """Changes with any of the files. Pages have it in the addresses of all: a module names others
    by where it is itself, so those of two versions never meet."""
    every = hashlib.sha256()
    for file, (folder, _) in sorted(FILES.items()):
        every.update(content(folder, file))
    return every.hexdigest()[:12]
