"""What goes out: claiming what is due to a sink, and recording each verdict."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from daemon.contract import Delivery, Event, delivery_id
from daemon.lane import Lane
from daemon.store.counters import Count, count_up
from daemon.store.database import Database
from daemon.store.sinks import release_waiting, save_lane
from daemon.store.text import digest_of
from daemon.store.verdicts import Attempted, Claim, record_verdicts
from daemon.store.waits import restore_waits
from daemon.tables import WAITING, attempts, deliveries, events

DEATHS_TO_QUARANTINE = 3
"""An attempt that the process did not survive so often is not made again by itself."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What may be sent now, and when to look again if it was nothing."""

    claims: tuple[Claim, ...]
    next_due_at: datetime | None
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A delivery that was under way when the process died."""

    row_id: int
    sink: str
    deaths: int


class Deliveries:
    """The outgoing side of the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, sink: str, *, limit: int, lease: timedelta) -> Claimed:
        """Hand out what is due, oldest due first, and count the attempt before it is made."""

        def operation(connection: Connection, now: datetime) -> Claimed:
            rows = connection.execute(_DUE, {"sink_name": sink, "at": now, "number": limit}).all()
            return _hand_out(connection, now, sink, rows, lease)

        return await self._database.write(operation)

    async def claim_probe(self, sink: str, *, last_probed: int | None, lease: timedelta) -> Claimed:
        """Hand out the one delivery that was not tried for longest, never the same twice running."""

        def operation(connection: Connection, now: datetime) -> Claimed:
            free = or_(deliveries.c.claimed_at.is_(None), deliveries.c.due_at <= now)
            # Sorted without the events: a dead sink can have very many.
            longest_untried = (
                select(deliveries.c.id)
                .where(WAITING, _INNOCENT, deliveries.c.sink == sink, deliveries.c.id != (last_probed or 0), free)
                .order_by(deliveries.c.tried_at.asc().nulls_first(), deliveries.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            rows = connection.execute(_CLAIMABLE.where(deliveries.c.id == longest_untried.scalar_subquery())).all()
            return _hand_out(connection, now, sink, rows, lease)

        return await self._database.write(operation)

    async def claim_suspect(self, sink: str, row_id: int, *, lease: timedelta) -> Claimed:
        """Hand out one of those that `void_claims` named, if it still waits; after its third death, none."""

        def operation(connection: Connection, now: datetime) -> Claimed:
            rows = connection.execute(_CLAIMABLE.where(deliveries.c.id == row_id)).all()
            return _hand_out(connection, now, sink, rows, lease)

        return await self._database.write(operation)

    async def record(self, sink: str, attempted: Sequence[Attempted], lane: Lane | None, *, release: bool) -> int:
        """Store verdicts and the lane's new state (None: it is as stored); how many deliveries were settled.

        `release`: the sink works again, so what waits for its turn after failures falls due now.
        """

        def operation(connection: Connection, now: datetime) -> int:
            settled = record_verdicts(connection, now, sink, attempted)
            if lane is not None:
                save_lane(connection, now, sink, lane)
            if release:
                release_waiting(connection, now, sink)
            return settled

        return await self._database.write(operation)

    async def unclaim(self, claims: Sequence[Claim]) -> None:
        """Give back what was claimed and not sent: no attempt was made."""
        if not claims:
            return

        def operation(connection: Connection, now: datetime) -> None:
            connection.execute(
                _GIVE_BACK,
                [{"row_id": claim.row_id, "number": claim.delivery.attempt, "at": now} for claim in claims],
            )

        await self._database.write(operation)

    async def void_claims(self) -> list[Suspect]:
        """At start: attempts of an earlier process get no verdict any more, so they fall due now.

        Each counts as a failure and as a death. Answers the deliveries that an earlier process died
        over, or beside. Other waits go on, as long as they should.
        """

        def operation(connection: Connection, now: datetime) -> list[Suspect]:
            for row in connection.execute(_CLAIMABLE.where(deliveries.c.claimed_at.is_not(None))).all():
                _note_cut_off(connection, row)
            void = update(deliveries).where(WAITING, deliveries.c.claimed_at.is_not(None))
            connection.execute(void.values(due_at=now, claimed_at=None, failures=deliveries.c.failures + 1))
            restore_waits(connection, now)
            suspects = select(deliveries.c.id, deliveries.c.sink, deliveries.c.deaths).where(WAITING, ~_INNOCENT)
            as_indexed = deliveries.c.sink, deliveries.c.due_at, deliveries.c.id
            return [Suspect(*row) for row in connection.execute(suspects.order_by(*as_indexed))]

        return await self._database.write(operation)


_INNOCENT = or_(deliveries.c.deaths == 0, deliveries.c.claimed_at.is_not(None))
"""What an earlier process died over, or beside, is not claimed with the rest: see `daemon/rounds/suspects.py`.
What is still claimed was claimed by this process, which lives: its attempt got lost in another way."""

_CLAIMABLE = (
    select(
        deliveries.c.id,
        deliveries.c.attempt,
        deliveries.c.failures,
        deliveries.c.deaths,
        deliveries.c.replays,
        deliveries.c.claimed_at,
        deliveries.c.progress,
        events.c.source,
        events.c.external_id,
        events.c.channel,
        events.c.kind,
        events.c.occurred_at,
        events.c.data,
        events.c.raw,
        events.c.digest,
    )
    .join(events, events.c.id == deliveries.c.event_id)
    .where(WAITING)
)
_DUE = (
    _CLAIMABLE.where(deliveries.c.sink == bindparam("sink_name"), _INNOCENT, deliveries.c.due_at <= bindparam("at"))
    .order_by(deliveries.c.due_at, deliveries.c.id)
    .limit(bindparam("number"))
    .with_for_update(skip_locked=True, of=deliveries)
)
_NEXT_DUE = select(func.min(deliveries.c.due_at)).where(WAITING, _INNOCENT, deliveries.c.sink == bindparam("sink_name"))


def _hand_out(connection: Connection, now: datetime, sink: str, rows: Sequence[Any], lease: timedelta) -> Claimed:
    claims: list[Claim] = []
    quarantined = 0
    for row in rows:
        deaths = row.deaths
        if row.claimed_at is not None:
            deaths += 1
            _note_cut_off(connection, row)
        damaged = row.digest != digest_of(row.kind, row.channel, row.data, row.raw)
        if damaged or deaths >= DEATHS_TO_QUARANTINE:
            quarantined += 1
            why = "its stored content is damaged" if damaged else f"the daemon died {deaths} times while sending it"
            _quarantine(connection, now, row.id, deaths, f"{why}; not sent")
            count_up(connection, {Count.of_delivery(row.source, row.kind, sink, "gave_up", now): 1})
        else:
            claims.append(_claim(row, sink, now, cut_off=row.claimed_at is not None))
    if claims:
        connection.execute(
            _TAKE,
            [
                {"row_id": claim.row_id, "until": now + lease, "at": now, "new_failures": claim.failures}
                for claim in claims
            ],
        )
    next_due_at = connection.execute(_NEXT_DUE, {"sink_name": sink}).scalar()
    return Claimed(tuple(claims), next_due_at, quarantined)


_TAKE = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("row_id"))
    .values(
        due_at=bindparam("until"),
        attempt=deliveries.c.attempt + 1,
        claimed_at=bindparam("at"),
        tried_at=bindparam("at"),
        failures=bindparam("new_failures"),
    )
)

_GIVE_BACK = (
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("row_id"),
        deliveries.c.attempt == bindparam("number"),
        deliveries.c.claimed_at.is_not(None),
    )
    .values(due_at=bindparam("at"), attempt=deliveries.c.attempt - 1, claimed_at=None)
)


def _claim(row: Any, sink: str, now: datetime, *, cut_off: bool) -> Claim:
    event = Event(row.source, row.external_id, row.channel, row.kind, row.occurred_at, json.loads(row.data))
    delivery = Delivery(
        id=delivery_id(row.source, row.external_id, sink),
        event=event,
        attempt=row.attempt + 1,
        progress=row.progress or {},
        replays=row.replays,
    )
    return Claim(row.id, delivery, row.failures + cut_off, now)


def _note_cut_off(connection: Connection, row: Any) -> None:
    connection.execute(
        insert(attempts).values(
            delivery_id=row.id,
            attempt=row.attempt,
            started_at=row.claimed_at,
            outcome="cut_off",
            reason="the daemon ended before an answer was recorded; the receiver may have it",
        )
    )
    connection.execute(update(deliveries).where(deliveries.c.id == row.id).values(deaths=deliveries.c.deaths + 1))


def _quarantine(connection: Connection, now: datetime, row_id: int, deaths: int, reason: str) -> None:
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == row_id)
        .values(state="gave_up", reason=reason, deaths=deaths, due_at=None, claimed_at=None, settled_at=now)
    )
