"""Streams of records, and how each component is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, select

from opus_core.backends import Health, HealthState, Record, Storage
from opus_storage_sqlite.clock import clock, instant, micros
from opus_storage_sqlite.database import Database
from opus_storage_sqlite.document import dump
from opus_storage_sqlite.statements import alone, upsert
from opus_storage_sqlite.tables import components, records

_APPEND: Final = insert(records).values(time=clock()).returning(records.c.seq)
_BEHIND: Final = (
    select(records.c.seq, records.c.key, records.c.time, records.c.data)
    .where(records.c.stream == bindparam("stream"), records.c.seq > bindparam("behind"))
    .order_by(records.c.seq)
    .limit(bindparam("enough"))
)
_SAY: Final = upsert(
    components,
    update=lambda new: {word: new[word] for word in ("state", "sentence", "since", "heartbeat")},
)


class Records(Storage):
    """The part of a storage that keeps all else that must last."""

    _database: Database

    def set_health(self, component: str, health: Health) -> None:
        values = {
            "component": component,
            "state": health.state.value,
            "sentence": health.sentence,
            "since": micros(health.since),
            "heartbeat": micros(health.heartbeat),
        }
        with self._database.writing() as connection:
            _SAY.change(connection, values)

    def health(self) -> dict[str, Health]:
        with self._database.reading() as connection:
            rows = connection.execute(select(components).order_by(components.c.component)).all()
        return {
            row.component: Health(
                state=HealthState(row.state),
                sentence=row.sentence,
                since=instant(row.since),
                heartbeat=instant(row.heartbeat),
            )
            for row in rows
        }

    def append(self, stream: str, record: Mapping[str, Any], key: str | None = None) -> int:
        values = {"stream": stream, "key": key, "data": dump(dict(record))}
        with self._database.writing() as connection:
            # Whoever has read up to a number has read all up to it.
            alone(connection, f"stream {stream}")
            if key is not None:
                connection.execute(
                    delete(records).where(records.c.stream == stream, records.c.key == key)
                )
            return int(connection.execute(_APPEND, values).scalar_one())

    def records(self, stream: str, after: int = 0, limit: int = 1000) -> list[Record]:
        asked = {"stream": stream, "behind": after, "enough": limit}
        with self._database.reading() as connection:
            rows = connection.execute(_BEHIND, asked).all()
        return [
            Record(seq=row.seq, key=row.key, time=instant(row.time), data=json.loads(row.data))
            for row in rows
        ]

    def trim(self, stream: str, upto: int) -> None:
        with self._database.writing() as connection:
            connection.execute(
                delete(records).where(records.c.stream == stream, records.c.seq <= upto)
            )
