"""What `[storage]` may say beside `use = "postgresql"`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgreSQLOptions:
    """Where the database is, and how it is talked to."""

    url: str = field(
        default="postgresql:///opus",
        metadata={
            "help": "The database, as `postgresql://USER@HOST:PORT/NAME`; without a host, the one"
            " of this machine, by its socket."
        },
    )
    password_file: Path | None = field(
        default=None,
        metadata={
            "help": "A file with the password alone; absent: none is needed, or `~/.pgpass` has it."
        },
    )
    schema: str | None = field(
        default=None,
        metadata={
            "help": "The schema that the tables are in; absent: the first of the user's"
            " search_path."
        },
    )
    connections: int = field(
        default=10,
        metadata={"help": "Connections of each process at most.", "least": 2, "most": 1000},
    )
    busy_timeout: float = field(
        default=5.0,
        metadata={
            "help": "How long to wait for a connection, and for others who write, before"
            " answering 503.",
            "unit": "seconds",
            "least": 0.1,
        },
    )

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            usable = parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.scheme not in ("postgresql", "postgres"):
            raise ValueError(
                f"url: {self.url!r} is no address of a PostgreSQL database, such as"
                " postgresql://opus@db.example.org/opus"
            )
        if parts.password or "password" in parse_qs(parts.query):
            raise ValueError("url: a password does not stand here; name a file in password_file")
        if self.schema is not None and not self.schema.isidentifier():
            raise ValueError(f"schema: {self.schema!r} is no name of a schema")
