"""Which events may be marked complete upstream, and what came of telling it so."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, bindparam, exists, func, or_, select, update

from daemon.retry import back_off
from daemon.store.database import Database
from daemon.tables import WAITING, deliveries, events, tombstones

FIRST_POSTPONEMENT, LONGEST_POSTPONEMENT = timedelta(minutes=15), timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Acknowledgeable:
    """Events that may be completed now, and when to look again."""

    external_ids: tuple[str, ...]
    next_due_at: datetime | None
    held: int
    """Stored here, not completed upstream, because deliveries are still under way; 0 while more is due."""


class Acknowledgements:
    """The way back to the source."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, source: str, *, hold: timedelta, limit: int) -> Acknowledgeable:
        """Events whose deliveries are all settled, or that were held for `hold`, oldest first."""

        def operation(connection: Connection, now: datetime) -> Acknowledgeable:
            latest = now + LONGEST_POSTPONEMENT
            since, ahead = now - hold, now + hold
            asked = {"name": source, "now": now, "latest": latest, "since": since, "ahead": ahead, "number": limit}
            ids = list(connection.execute(_READY, asked).scalars())
            if len(ids) < limit:
                returned = select(tombstones.c.external_id).where(
                    tombstones.c.source == source, tombstones.c.ack_due_at.is_not(None), _due(tombstones, now)
                )
                ids += connection.execute(returned.limit(limit - len(ids))).scalars()
            if len(ids) == limit:
                return Acknowledgeable(tuple(ids), now, 0)
            in_turn = or_(events.c.ack_due_at.is_(None), _due(events, now))
            held, oldest, postponed = connection.execute(
                select(
                    func.count().filter(in_turn),
                    func.min(events.c.stored_at).filter(in_turn),
                    func.min(events.c.ack_due_at).filter(~_due(events, now)),
                ).where(events.c.source == source, events.c.acknowledged_at.is_(None), events.c.external_id.not_in(ids))
            ).one()
            buried = connection.execute(
                select(func.min(tombstones.c.ack_due_at)).where(
                    tombstones.c.source == source, tombstones.c.ack_due_at > now
                )
            ).scalar()
            moments = [moment for moment in (oldest and oldest + hold, postponed, buried) if moment is not None]
            return Acknowledgeable(tuple(ids), min(moments, default=None), held)

        return await self._database.write(operation)

    async def done(self, source: str, external_ids: Sequence[str]) -> None:
        """The source agreed: these are complete there."""

        def operation(connection: Connection, now: datetime) -> None:
            stored = connection.execute(
                update(events)
                .where(events.c.source == source, events.c.external_id.in_(external_ids))
                .values(acknowledged_at=now, acknowledged_by="us", ack_due_at=None, ack_reason=None)
            )
            if stored.rowcount == len(external_ids):
                return
            connection.execute(
                update(tombstones)
                .where(tombstones.c.source == source, tombstones.c.external_id.in_(external_ids))
                .values(ack_due_at=None)
            )

        await self._database.write(operation)

    async def unclear(self, source: str, external_ids: Sequence[str], reason: str) -> None:
        """No answer came: asked again soon; if the next sweep lists one no more, it did arrive."""

        def operation(connection: Connection, _: datetime) -> None:
            connection.execute(
                update(events)
                .where(events.c.source == source, events.c.external_id.in_(external_ids))
                .values(ack_tries=events.c.ack_tries + 1, ack_reason=reason)
            )

        await self._database.write(operation)

    async def refused(self, source: str, external_id: str, reason: str) -> None:
        """The source will not take this one id: set aside, and checked again later."""

        def operation(connection: Connection, now: datetime) -> None:
            key = events.c.source == source, events.c.external_id == external_id
            tries = connection.execute(select(events.c.ack_tries).where(*key)).scalar() or 0
            wait = back_off(tries + 1, first=FIRST_POSTPONEMENT, longest=LONGEST_POSTPONEMENT, spread=0)
            connection.execute(
                update(events).where(*key).values(ack_tries=tries + 1, ack_due_at=now + wait, ack_reason=reason)
            )
            connection.execute(
                update(tombstones)
                .where(tombstones.c.source == source, tombstones.c.external_id == external_id)
                .values(ack_due_at=now + LONGEST_POSTPONEMENT)
            )

        await self._database.write(operation)

    async def gone(self, source: str, *, listed: Collection[str], stored_before: datetime) -> int:
        """After a whole sweep: what it did not list is complete there; how many were not ours.

        What we had asked to complete, without an answer, was done by us; the rest by somebody else.
        """

        def operation(connection: Connection, now: datetime) -> int:
            rows = connection.execute(
                select(events.c.id, events.c.external_id, events.c.ack_tries, events.c.relisted).where(
                    events.c.source == source, events.c.acknowledged_at.is_(None), events.c.stored_at < stored_before
                )
            ).all()
            vanished = [row for row in rows if row.external_id not in listed]
            elsewhere = [row.id for row in vanished if not row.ack_tries and not row.relisted]
            for row in vanished:
                connection.execute(
                    update(events)
                    .where(events.c.id == row.id)
                    .values(
                        acknowledged_at=now,
                        acknowledged_by="elsewhere" if row.id in elsewhere else "us",
                        ack_due_at=None,
                    )
                )
            pruned = tombstones.c.source == source, tombstones.c.ack_due_at.is_not(None)
            for external_id in connection.execute(select(tombstones.c.external_id).where(*pruned)).scalars().all():
                if external_id not in listed:
                    over = tombstones.c.source == source, tombstones.c.external_id == external_id
                    connection.execute(update(tombstones).where(*over).values(ack_due_at=None))
            return len(elsewhere)

        return await self._database.write(operation)


_READY = (
    select(events.c.external_id)
    .where(
        events.c.source == bindparam("name"),
        events.c.acknowledged_at.is_(None),
        or_(
            events.c.ack_due_at.is_(None),
            events.c.ack_due_at <= bindparam("now"),
            events.c.ack_due_at > bindparam("latest"),
        ),
        or_(
            events.c.stored_at <= bindparam("since"),
            events.c.stored_at > bindparam("ahead"),
            ~exists().where(WAITING, deliveries.c.event_id == events.c.id),
        ),
    )
    .order_by(events.c.id)
    .limit(bindparam("number"))
)
"""Open events that are neither postponed nor held; one stored in the future (a wrong clock) was held enough."""


def _due(table: Table, now: datetime) -> ColumnElement[bool]:
    """What was postponed is due; a moment later than any that we choose was chosen by a wrong clock (I12)."""
    return or_(table.c.ack_due_at <= now, table.c.ack_due_at > now + LONGEST_POSTPONEMENT)
