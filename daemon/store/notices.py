"""What the operator has been told, so that it is said once and not at every round."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, desc, func, select, update

from daemon.contract import OWN_SOURCE
from daemon.store.database import Database
from daemon.store.events import Added
from daemon.store.told import TURN, all_turns, matter_key, settle_notice
from daemon.store.upsert import put
from daemon.store.writer import Operation
from daemon.tables import DEAD, deliveries, events, notices


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Deliveries of one sink that will not be tried again by themselves, since the last time that any were told."""

    rejected: int
    gave_up: int
    last_reason: str
    told: Added | None = None
    """What was stored to tell of them; None: there are none."""


def _nothing(connection: Connection, now: datetime) -> Added:
    return Added()


class Notices:
    """The memory behind alerts. What is told is stored in the same transaction, or else it is not noted as told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_news(
        self,
        key: str,
        *,
        again_after: timedelta | None,
        turn: str = "",
        since: datetime | None = None,
        at_most_every: timedelta = timedelta(),
        say: Operation[Added] = _nothing,
    ) -> Added | None:
        """Note that `key` is the case; what it stored to tell the operator now, or None: it is no news.

        `turn`: what it has come to, and `since` when; another turn, or the same once more, is news, though not before
        `at_most_every` has passed.
        `again_after`: tell again if it was last told longer ago; None: once, until it was over.
        """

        def operation(connection: Connection, now: datetime) -> Added | None:
            matter = matter_key(key)
            told = matter_key(f"{matter}{TURN}{turn}") if turn else matter
            known = select(notices).where(notices.c.key.in_([matter, told]))
            rows = {row.key: row for row in connection.execute(known)}
            if matter in rows and _ago(rows[matter].told_at, now) < at_most_every:
                return None
            same = rows.get(told)
            lasts = same is not None and same.active and (since is None or since <= same.told_at)
            if same is not None and lasts and (again_after is None or _ago(same.told_at, now) < again_after):
                return None
            connection.execute(update(notices).where(all_turns(matter)).values(active=False))
            for name in {matter, told}:
                times = rows[name].times + 1 if name in rows else 1
                put(connection, notices, {"key": name, "told_at": now, "times": times, "active": True})
            return say(connection, now)

        return await self._database.write(operation)

    async def is_over(self, key: str, say: Operation[Added] = _nothing) -> Added | None:
        """Note that `key` is no longer the case; what it stored to tell so, or None: it had not been told."""

        def operation(connection: Connection, now: datetime) -> Added | None:
            return say(connection, now) if settle_notice(connection, key) else None

        return await self._database.write(operation)

    async def dead_letters(
        self,
        key: str,
        sink: str,
        *,
        at_most_every: timedelta,
        say: Callable[[DeadLetters], Operation[Added]] = lambda dead: _nothing,
    ) -> DeadLetters | None:
        """Tell the operator now what died at a sink since last time, if any did; None: told of some just now.

        Those of our own events are left out: a message about a message would never end.
        """

        def operation(connection: Connection, now: datetime) -> DeadLetters | None:
            row = connection.execute(select(notices).where(notices.c.key == matter_key(key))).first()
            if row is not None and _ago(row.told_at, now) < at_most_every:
                return None
            died = [DEAD, deliveries.c.sink == sink, events.c.source != OWN_SOURCE]
            if row is not None:
                died.append(deliveries.c.settled_at > min(row.told_at, now))
            joined = deliveries.join(events, events.c.id == deliveries.c.event_id)
            numbers = {
                each.state: each.number
                for each in connection.execute(
                    select(deliveries.c.state, func.count().label("number"))
                    .select_from(joined)
                    .where(*died)
                    .group_by(deliveries.c.state)
                )
            }
            last = (
                select(deliveries.c.reason)
                .select_from(joined)
                .where(*died)
                .order_by(desc(deliveries.c.settled_at), desc(deliveries.c.id))
            )
            reason = connection.execute(last.limit(1)).scalar() if numbers else None
            dead = DeadLetters(numbers.get("rejected", 0), numbers.get("gave_up", 0), reason or "")
            if not numbers:
                return dead
            times = 1 if row is None else row.times + 1
            put(connection, notices, {"key": matter_key(key), "told_at": now, "times": times, "active": False})
            return replace(dead, told=say(dead)(connection, now))

        return await self._database.write(operation)


def _ago(moment: datetime, now: datetime) -> timedelta:
    """What a clock that was set back makes lie in the future was told long ago."""
    return now - moment if moment <= now else timedelta.max
