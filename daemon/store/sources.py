"""What is known about each source between restarts: its cursor, its health, its first sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from daemon.store.database import Database
from daemon.store.upsert import put
from daemon.tables import meta, sources


@dataclass(frozen=True, slots=True)
class SourceMemory:
    """What a source starts with."""

    health: Mapping[str, Any]
    """By kind of access, as `daemon.upstream` writes it; empty at the very first start."""
    first: bool
    """No whole sweep was ever made."""


class Sources:
    """The sources' memory, and the switch that pauses everything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enroll(self, name: str) -> SourceMemory:
        """At start: what is known of a source, which is made known if it is new."""

        def operation(connection: Connection, now: datetime) -> SourceMemory:
            row = connection.execute(select(sources).where(sources.c.name == name)).first()
            if row is None:
                connection.execute(insert(sources).values(name=name, health={}, changed_at=now))
                return SourceMemory({}, first=True)
            return SourceMemory(row.health, first=row.first_sweep_at is None)

        return await self._database.write(operation)

    async def cursor(self, name: str) -> str | None:
        """How far the source was read."""
        query = select(sources.c.cursor).where(sources.c.name == name)
        return await self._database.read(lambda connection: connection.execute(query).scalar())

    async def save(self, name: str, health: Mapping[str, Any], *, swept: bool) -> None:
        """Remember how the source is doing; `swept`: a whole sweep was just made."""

        def operation(connection: Connection, now: datetime) -> None:
            values: dict[str, Any] = {"health": dict(health), "changed_at": now}
            if swept:
                values["last_sweep_at"] = now
            connection.execute(update(sources).where(sources.c.name == name).values(values))
            if swept:
                first = sources.c.name == name, sources.c.first_sweep_at.is_(None)
                connection.execute(update(sources).where(*first).values(first_sweep_at=now))

        await self._database.write(operation)

    async def set_paused(self, paused: bool) -> None:
        """Remember whether everything is paused."""

        def operation(connection: Connection, _: datetime) -> None:
            put(connection, meta, {"name": "paused", "value": "yes" if paused else "no"})

        await self._database.write(operation)

    async def paused(self) -> bool:
        """Whether everything is paused."""
        query = select(meta.c.value).where(meta.c.name == "paused")
        return await self._database.read(lambda connection: connection.execute(query).scalar() == "yes")
