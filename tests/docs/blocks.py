"""The pages that are printed for somebody to read, and their fenced code blocks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
PATTERNS = ("*.md", "*/README.md", "plugins/*/README.md", "docs/**/*.md", "examples/**/*.md")
PAGES = sorted({page for pattern in PATTERNS for page in CHECKOUT.glob(pattern)})


def every_page() -> list[Path]:
    """All Markdown of the checkout, but for what is built or installed in it."""
    found: list[Path] = []
    for folder, below, files in os.walk(CHECKOUT):
        below[:] = [one for one in below if not one.startswith((".", "_", "opus-"))]
        found += [Path(folder, one) for one in files if one.endswith(".md")]
    return sorted(found)


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    text: str
    before: str  # the last line before it that is not empty

    @property
    def file(self) -> str | None:
        """The file that the page has its reader make of this, said by a comment before it."""
        found = re.fullmatch(r"<!-- (?:file|append): (\S+) -->", self.before)
        return found[1] if found else None

    @property
    def appended(self) -> bool:
        """It goes to the end of that file, behind an empty line."""
        return self.before.startswith("<!-- append: ")

    @property
    def output(self) -> bool:
        """It shows what the block of bash before it prints."""
        return self.language == "text" and self.before == "a block of bash"


def blocks(page: Path) -> Iterator[Block]:
    start, language, lines, before = 0, "", [], ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
            if not start and line.strip():
                before = line.strip()
        elif start:
            yield Block(start, language, "\n".join(lines) + "\n", before)
            start, before = 0, f"a block of {language}"
        else:
            start, language, lines = number, line.strip().strip("`"), []
    assert not start, f"{page.name}: the block of line {start} does not end"


def files(page: Path) -> dict[str, Block]:
    """The last block of each file that a page has its reader make, with all of its text."""
    found: dict[str, Block] = {}
    for block in blocks(page):
        if block.file is not None:
            before = f"{found[block.file].text}\n" if block.appended else ""
            found[block.file] = replace(block, text=before + block.text)
    return found


def matches(printed: str, said: str) -> bool:
    """Whether it was said as printed, where `...` stands for anything; line ends at the end and
    the width of columns are nobody's concern."""
    printed, said = (re.sub(" +", " ", text.rstrip("\n")) for text in (printed, said))
    pattern = re.escape(printed).replace(re.escape(" ... "), " (?:.*? )?")
    pattern = pattern.replace(re.escape("..."), ".*?")
    return re.fullmatch(pattern, said, re.DOTALL) is not None
