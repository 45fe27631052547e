"""Sphinx's settings for the documentation site: `make docs` builds it.

The pages are Markdown that is read as it lies in the checkout, too. So the source of the site is
the whole checkout: links between pages, and to READMEs, hold as they are written there. What is a
page of the site is said by `include_patterns`; what stands where in its sidebar by docs/index.md,
each of whose rows names a reader and pages: a new page needs a row there and nothing else.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_CHECKOUT: Final = Path(__file__).parents[1]
_LOOK: Final = _CHECKOUT / "opus_core" / "src" / "opus_core" / "render" / "static"

# Which of the web client's colours and fonts take the place of which of the theme's.
_OURS: Final = {
    "color-background-border": "line",
    "color-background-primary": "sheet",
    "color-background-secondary": "page",
    "color-brand-content": "link",
    "color-brand-primary": "accent",
    "color-brand-visited": "link",
    "color-code-background": "sunk",
    "color-foreground-border": "edge",
    "color-foreground-muted": "soft",
    "color-foreground-primary": "ink",
    "color-foreground-secondary": "soft",
    "color-inline-code-background": "sunk",
    "font-stack": "sans",
    "font-stack--monospace": "mono",
}


def _look() -> Iterator[dict[str, str]]:
    """The theme's variables as the web client's style sheet has them: first the light ones, then
    what is different in the dark."""
    for root in re.findall(r":root \{(.*?)\}", (_LOOK / "opus.css").read_text(), re.DOTALL):
        ours = dict(re.findall(r"--([\w-]+): (.*?);", root))
        yield {theirs: ours[name] for theirs, name in _OURS.items() if name in ours}


project = "OPUS"
author = "The OPUS developers"
[version] = re.findall(
    r'^__version__ = "(.*)"',
    (_CHECKOUT / "opus_core" / "src" / "opus_core" / "__init__.py").read_text(),
    re.MULTILINE,
)
release = version

root_doc = "README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "examples/**.md",
    "opus_*/README.md",
    "opus_core/src/opus_core/client/uwslib/README.md",
    "plugins/*/README.md",
]
# Nothing of theirs is a page of the site, and to look through them takes long.
exclude_patterns = [".*", "opus-*", "tests", "dist", "docs/_build", "docs/plugins/cellar"]

extensions = ["myst_parser"]
myst_heading_anchors = 6  # as forges do, so #anchors of links are the same everywhere
nitpicky = True

html_theme = "furo"
html_title = f"OPUS {release}"
html_favicon = str(_LOOK / "opus.svg")
html_logo = html_favicon
html_theme_options = dict(zip(("light_css_variables", "dark_css_variables"), _look(), strict=True))
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_use_index = False  # there is nothing in it
html_copy_source = False
html_show_search_summary = False  # fetched, which browsers refuse to pages from a disk
html_show_copyright = False
templates_path = ["_templates"]
html_additional_pages = {"index": "first.html"}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _give_sidebar)
    app.connect("html-page-context", _mend_for_readers_without_a_mouse, priority=900)


def _give_sidebar(app: Sphinx, page: str, source: list[str]) -> None:
    """Let the first page hold what stands in the sidebar, which would only be in the way where it
    is read as it lies."""
    if page == root_doc:
        readers = _readers((_CHECKOUT / "docs" / "index.md").read_text())
        listed = {root_doc, *(name for names in readers.values() for name in names)}
        others = {name for name in app.env.found_docs if name.endswith("README")}
        packages = {"Distributions and examples": sorted(others - listed)}
        for caption, names in ({"Begin": [root_doc, "docs/index"]} | readers | packages).items():
            lines = "\n".join("self" if name == root_doc else f"/{name}" for name in names)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"


# What the theme makes, and what they need: code that scrolls must be reached by keys, and a heading
# must say of which level it is.
_MENDED: Final = {
    "body": ("<pre>", '<pre tabindex="0">'),
    "furo_navigation_tree": (' role="heading"', ' role="heading" aria-level="2"'),
}


def _mend_for_readers_without_a_mouse(
    app: Sphinx, page: str, template: str, context: dict[str, str], tree: object
) -> None:
    """After the theme has made its part."""
    for part, (made, needed) in _MENDED.items():
        if part in context:
            context[part] = context[part].replace(made, needed)


def _readers(index: str) -> dict[str, list[str]]:
    """The pages of each reader: those that the rows of docs/index.md link to in their last cells.
    A row without a reader belongs to the one above; a page to the first who is told of it."""
    readers: dict[str, list[str]] = {}
    known: set[str] = set()
    for row in index.splitlines():
        if row.startswith("| ") and "](" in row:
            who, _, links = (cell.strip() for cell in row.strip("|").split(" | "))
            pages = readers.setdefault(who.strip("*") or list(readers)[-1], [])
            for link in re.findall(r"\]\(([^)#]+)\.md", links):
                page = posixpath.normpath(posixpath.join("docs", link))
                if page not in known:
                    pages.append(page)
                    known.add(page)
    return readers
