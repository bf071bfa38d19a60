"""What is owed in a name that the config no longer has: it waits until a person says what becomes of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from daemon.store.database import Database
from daemon.store.discarding import discard
from daemon.store.told import settle_notice
from daemon.tables import WAITING, deliveries, events, sinks, sources, tombstones

SINK_ALERT, SOURCE_ALERT = "alert.orphaned_sinks", "alert.orphaned_sources"


@dataclass(frozen=True, slots=True)
class Owed:
    """By name, what waits for a sink or source that is not in the config."""

    deliveries: dict[str, int]
    """To sinks."""
    events: dict[str, int]
    """Of sources: not completed upstream."""


class Orphans:
    """What was left behind by sinks and sources that were renamed or removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, sink: str) -> int:
        """How many deliveries a sink is owed, in the config or not."""
        query = select(func.count()).select_from(deliveries).where(WAITING, deliveries.c.sink == sink)
        return await self._database.read(lambda connection: int(connection.execute(query).scalar() or 0))

    async def owed(self, *, but_sinks: Iterable[str], but_sources: Iterable[str]) -> Owed:
        """All that waits in other names than these."""

        def query(connection: Connection) -> Owed:
            names = select(sinks.c.name).where(sinks.c.name.not_in(list(but_sinks)))
            waiting = connection.execute(
                select(deliveries.c.sink, func.count())
                .where(WAITING, deliveries.c.sink.in_(names))
                .group_by(deliveries.c.sink)
            )
            others = select(sources.c.name).where(sources.c.name.not_in(list(but_sources)))
            uncompleted = connection.execute(
                select(events.c.source, func.count())
                .where(events.c.acknowledged_at.is_(None), events.c.source.in_(others))
                .group_by(events.c.source)
            )
            return Owed({row[0]: row[1] for row in waiting}, {row[0]: row[1] for row in uncompleted})

        return await self._database.read(query)

    async def discard(self, name: str, *, sink: bool, source: bool) -> None:
        """Settle what waits for a sink, or stop wanting to complete the events of a source, or both, of this name.

        All of it stays on record; the deliveries can be replayed to a sink that is in the config.
        """

        def operation(connection: Connection, now: datetime) -> None:
            if sink:
                discard(connection, now, "discarded on request", deliveries.c.sink == name)
                settle_notice(connection, f"{SINK_ALERT}:{name}")
            if source:
                done = {"acknowledged_at": now, "acknowledged_by": "nobody", "ack_due_at": None}
                uncompleted = update(events).where(events.c.acknowledged_at.is_(None), events.c.source == name)
                connection.execute(uncompleted.values(**done, ack_reason="discarded on request"))
                connection.execute(update(tombstones).where(tombstones.c.source == name).values(ack_due_at=None))
                settle_notice(connection, f"{SOURCE_ALERT}:{name}")

        await self._database.write(operation)
