"""What goes out: claiming what is due to a sink, and recording each verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, case, or_, select, update

from daemon.contract import Cause
from daemon.gathering import Gathering
from daemon.lane import Lane
from daemon.store.claims import CLAIMABLE, INNOCENT, Claimed, found_due, hand_out, note_cut_off
from daemon.store.database import Database
from daemon.store.gathered import claim_for_people, claim_suspects, count_back
from daemon.store.sinks import release_waiting, save_lane
from daemon.store.trials import discard_cut_off
from daemon.store.verdicts import Attempted, Claim, record_verdicts
from daemon.store.waits import restore_waits
from daemon.tables import WAITING, deliveries, events


@dataclass(frozen=True, slots=True)
class Suspect:
    """A delivery that was under way when the process died."""

    row_id: int
    sink: str
    deaths: int
    event_deaths: int
    """Of the process, while any of the event's deliveries was under way."""


class Deliveries:
    """The outgoing side of the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, sink: str, *, limit: int, lease: timedelta, gathering: Gathering | None = None) -> Claimed:
        """Hand out what is due, oldest due first, and count the attempt before it is made.

        With `gathering` some of it may be kept back instead, or handed out to be told as one message.
        """

        def operation(connection: Connection, now: datetime) -> Claimed:
            if gathering is not None:
                return claim_for_people(connection, now, sink, gathering, limit=limit, lease=lease)
            rows = found_due(connection, _DUE, {"sink_name": sink, "at": now, "number": limit})
            return hand_out(connection, now, sink, rows, lease)

        return await self._database.write(operation)

    async def claim_probe(self, sink: str, *, last_probed: int | None, lease: timedelta) -> Claimed:
        """Hand out the one delivery that was not tried for longest, never the same twice running.

        None of those that are told together: they wait for their time.
        """

        def operation(connection: Connection, now: datetime) -> Claimed:
            free = or_(deliveries.c.claimed_at.is_(None), deliveries.c.due_at <= now)
            # Sorted without the events: a dead sink can have very many.
            longest_untried = (
                select(deliveries.c.id)
                .where(WAITING, INNOCENT, deliveries.c.sink == sink, deliveries.c.id != (last_probed or 0), free)
                .where(deliveries.c.gathered.is_(None))
                .order_by(deliveries.c.tried_at.asc().nulls_first(), deliveries.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            rows = connection.execute(CLAIMABLE.where(deliveries.c.id == longest_untried.scalar_subquery())).all()
            return hand_out(connection, now, sink, rows, lease)

        return await self._database.write(operation)

    async def claim_suspect(self, sink: str, row_id: int, *, lease: timedelta) -> Claimed:
        """Hand out one of those that `void_claims` named, if it still waits; after its third death, none.

        What was under way as one message is handed out as one.
        """

        def operation(connection: Connection, now: datetime) -> Claimed:
            return claim_suspects(connection, now, sink, row_id, lease)

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

    async def unclaim(self, sink: str, claims: Sequence[Claim], cause: Cause | None = None) -> None:
        """Give back what was claimed and not sent: no attempt was made."""
        if not claims:
            return

        def operation(connection: Connection, now: datetime) -> None:
            connection.execute(
                _GIVE_BACK,
                [{"row_id": claim.row_id, "number": claim.delivery.attempt, "at": now} for claim in claims],
            )
            count_back(connection, sink, claims, cause)

        await self._database.write(operation)

    async def void_claims(self) -> list[Suspect]:
        """At start: attempts of an earlier process get no verdict any more, so they fall due now.

        Each counts as a failure and as a death; tests are discarded. Answers the deliveries that an earlier process
        died over, or beside. Other waits go on, as long as they should.
        """

        def operation(connection: Connection, now: datetime) -> list[Suspect]:
            cut_off = connection.execute(CLAIMABLE.where(deliveries.c.claimed_at.is_not(None))).all()
            for row in cut_off:
                note_cut_off(connection, row)
            discard_cut_off(connection, now)
            if cut_off:
                # Beside whatever killed us first there was much else; a suspect that is cut off again was alone.
                again = {row.event_id for row in cut_off if row.deaths}
                connection.execute(
                    _DIED_OVER,
                    [{"died_over": each, "more": int(each in again)} for each in {row.event_id for row in cut_off}],
                )
            void = update(deliveries).where(WAITING, deliveries.c.claimed_at.is_not(None))
            connection.execute(void.values(due_at=now, claimed_at=None, failures=deliveries.c.failures + 1))
            suspected = set(connection.execute(_SUSPECTED).scalars())
            connection.execute(_SUSPECT_TOO, {"event_ids": list(suspected), "at": now})
            restore_waits(connection, now)
            return [Suspect(*row) for row in connection.execute(_SUSPECTS)]

        return await self._database.write(operation)


_SUSPECTS = (
    select(deliveries.c.id, deliveries.c.sink, deliveries.c.deaths, events.c.deaths)
    .join(events, events.c.id == deliveries.c.event_id)
    .where(WAITING, ~INNOCENT)
    .order_by(deliveries.c.sink, deliveries.c.due_at, deliveries.c.id)
)
_DIED_OVER = (
    update(events)
    .where(events.c.id == bindparam("died_over"))
    .values(deaths=case((events.c.deaths == 0, 1), else_=events.c.deaths + bindparam("more")))
)
_SUSPECTED = select(deliveries.c.event_id).where(WAITING, deliveries.c.deaths > 0)
_SUSPECT_TOO = (
    update(deliveries)
    .where(
        WAITING,
        deliveries.c.event_id.in_(bindparam("event_ids", expanding=True)),
        deliveries.c.deaths == 0,
        deliveries.c.due_at <= bindparam("at"),
    )
    .values(deaths=1)
)
"""What is due of an event that is suspected at one sink would kill us beside others, were it the event's fault."""
_DUE = (
    CLAIMABLE.where(deliveries.c.sink == bindparam("sink_name"), INNOCENT, deliveries.c.due_at <= bindparam("at"))
    .order_by(deliveries.c.due_at, deliveries.c.id)
    .limit(bindparam("number"))
    .with_for_update(skip_locked=True, of=deliveries)
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
