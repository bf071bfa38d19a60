"""Forgetting what is old and settled, in steps too small to hold anything up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from daemon.contract import OWN_SOURCE
from daemon.quantities import duration_text
from daemon.store.counters import Count, count_up
from daemon.store.database import Database
from daemon.store.upsert import insert_missing
from daemon.tables import WAITING, deliveries, events, notices, tombstones, unidentified

TOMBSTONES_KEPT = timedelta(days=90)
"""So much longer a pruned event's key is known, so that it is never sent again if it returns."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step removed, and where the next one begins."""

    removed: int
    next_id: int | None


class Pruning:
    """The end of an event's life here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self, *, keep: timedelta, from_id: int, limit: int) -> Pruned:
        """Remove events older than `keep` that are settled and completed, looking at `limit` of them."""

        def operation(connection: Connection, now: datetime) -> Pruned:
            rows = connection.execute(
                select(events.c.id, events.c.source, events.c.external_id, events.c.stored_at, events.c.acknowledged_at)
                .where(events.c.id > from_id)
                .order_by(events.c.id)
                .limit(limit)
            ).all()
            old = [row for row in rows if row.stored_at < now - keep]
            owing = set(
                connection.execute(
                    select(deliveries.c.event_id).where(WAITING, deliveries.c.event_id.in_([row.id for row in old]))
                ).scalars()
            )
            going = [row for row in old if row.acknowledged_at is not None and row.id not in owing]
            insert_missing(
                connection,
                tombstones,
                [
                    {"source": row.source, "external_id": row.external_id, "pruned_at": now}
                    for row in going
                    if row.source != OWN_SOURCE
                ],
            )
            connection.execute(delete(events).where(events.c.id.in_([row.id for row in going])))
            all_old = len(old) == len(rows) == limit
            return Pruned(len(going), rows[-1].id if all_old else None)

        return await self._database.write(operation)

    async def remnants(self, *, keep: timedelta) -> None:
        """Remove tombstones, set-aside items and notices that are old enough."""

        def operation(connection: Connection, now: datetime) -> None:
            expired = tombstones.c.pruned_at < now - TOMBSTONES_KEPT
            connection.execute(delete(tombstones).where(expired, tombstones.c.ack_due_at.is_(None)))
            connection.execute(delete(unidentified).where(unidentified.c.seen_at < now - keep))
            connection.execute(delete(notices).where(notices.c.told_at < now - keep, notices.c.active.is_(False)))

        await self._database.write(operation)

    async def give_up_waiting(self, sink: str, *, after: timedelta, limit: int) -> int:
        """Give up deliveries of a sink that have waited too long; they stay visible and replayable.

        What a person asked for again, or was to wait for a digest or the end of quiet hours, has waited since it last
        fell due, not since it was first stored.
        """
        waited_on_purpose = func.coalesce(deliveries.c.gathered, "").in_(["digest", "quiet"])

        def operation(connection: Connection, now: datetime) -> int:
            too_old = connection.execute(
                select(deliveries.c.id, events.c.source, events.c.kind)
                .join(events, events.c.id == deliveries.c.event_id)
                .where(
                    WAITING,
                    deliveries.c.sink == sink,
                    deliveries.c.claimed_at.is_(None),
                    events.c.stored_at < now - after,
                    or_(and_(deliveries.c.replays == 0, ~waited_on_purpose), deliveries.c.due_at < now - after),
                )
                .limit(limit)
            ).all()
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id.in_([row.id for row in too_old]))
                .values(
                    state="gave_up", due_at=None, settled_at=now, reason=f"waited longer than {duration_text(after)}"
                )
            )
            count_up(connection, (Count.of_delivery(row.source, row.kind, sink, "gave_up", now) for row in too_old))
            return len(too_old)

        return await self._database.write(operation)
