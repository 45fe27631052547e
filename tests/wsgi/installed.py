"""A site that is as `opus init` has made it, but for what an admin changes in its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from servers import Site
from wsgi.apache import replaced

# Says that it runs, and goes on until there is a file beside its ledger, so that servers can be
# stopped and started meanwhile, however long that takes.
PATIENT_SCRIPT = """\
echo ran >> "$ledger"
until [ "$ledger" = - ] || [ -e "$ledger.end" ]; do sleep 0.05; done
echo done > "$output"
"""


@dataclass
class Installed(Site):
    """Its `opus.toml` is not written by tests, as that of a `Site` is, but edited."""

    def configure(self, text: str = "", **tables: str) -> None:
        """Nothing: `opus init` writes it."""

    def init(self, *changes: tuple[str, str]) -> None:
        """`opus init`, and defaults that are replaced: what a line begins with, and what it is."""
        self.opus("init", str(self.folder))
        for default, line in (("port = 8080", f"port = {self.port}"), *changes):
            self.edit("opus.toml", {f"^# {default}.*$": line})

    def end(self, ledger: Path) -> None:
        """Let the job end."""
        Path(f"{ledger}.end").touch()

    def edit(self, file: str, places: dict[str, str]) -> None:
        """Change places of a file, each by a pattern that is there once."""
        text = (self.folder / file).read_text()
        for pattern, by in places.items():
            text = replaced(text, pattern, by)
        (self.folder / file).write_text(text)
