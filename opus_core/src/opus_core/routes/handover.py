"""Leave it to the web server in front to send a file: only its name goes there, in a header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Handover:
    """How the server in front is told: by `X-Sendfile` and the path (Apache, lighttpd), or by
    `X-Accel-Redirect` and an address below `prefix`, under which it finds `root` (nginx)."""

    root: Path  # the job folders
    prefix: str | None = None  # with a slash at both ends

    def header(self, path: Path) -> dict[str, str]:
        """The header for a file below the root."""
        if self.prefix is None:
            return {"X-Sendfile": quote(str(path.absolute()))}
        return {"X-Accel-Redirect": self.prefix + quote(str(path.relative_to(self.root)))}


def parse(setting: str | None, root: Path) -> Handover | None:
    """What `[server] sendfile` says, which `opus_core.sections` has checked."""
    if setting is None:
        return None
    _, _, prefix = setting.partition(":")
    return Handover(root, prefix or None)
