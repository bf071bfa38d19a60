"""What the operator has been told, so that it is said once and not at every round."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, desc, exists, func, literal, or_, select, update

from daemon.contract import OWN_SOURCE
from daemon.store.database import Database
from daemon.store.text import storable
from daemon.store.upsert import put
from daemon.tables import DEAD, deliveries, events, notices

LONGEST_KEY = 200
_TURN = " is "
"""Between a matter and one of the turns it can take; the first is some `alert.kind:name`."""


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Deliveries of one sink that will not be tried again by themselves, since the last time that any were told."""

    rejected: int
    gave_up: int
    last_reason: str


class Notices:
    """The memory behind alerts."""

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
    ) -> bool:
        """Note that `key` is the case; whether the operator should be told now.

        `turn`: what it has come to, and `since` when; another turn, or the same once more, is news, though not before
        `at_most_every` has passed.
        `again_after`: tell again if it was last told longer ago; None: once, until it was over.
        """

        def operation(connection: Connection, now: datetime) -> bool:
            matter = _named(key)
            told = _named(f"{matter}{_TURN}{turn}") if turn else matter
            known = select(notices).where(notices.c.key.in_([matter, told]))
            rows = {row.key: row for row in connection.execute(known)}
            if matter in rows and _ago(rows[matter].told_at, now) < at_most_every:
                return False
            same = rows.get(told)
            lasts = same is not None and same.active and (since is None or since <= same.told_at)
            if same is not None and lasts and (again_after is None or _ago(same.told_at, now) < again_after):
                return False
            connection.execute(update(notices).where(_all_of(matter)).values(active=False))
            for name in {matter, told}:
                times = rows[name].times + 1 if name in rows else 1
                put(connection, notices, {"key": name, "told_at": now, "times": times, "active": True})
            return True

        return await self._database.write(operation)

    async def is_over(self, key: str) -> bool:
        """Note that `key` is no longer the case; whether it had been told."""

        def operation(connection: Connection, _: datetime) -> bool:
            return settle_notice(connection, key)

        return await self._database.write(operation)

    async def dead_letters(self, key: str, sink: str, *, at_most_every: timedelta) -> DeadLetters | None:
        """Note that the operator is told now of what died at a sink since last time; None: told of some just now.

        Those of our own events are left out: a message about a message would never end.
        """

        def operation(connection: Connection, now: datetime) -> DeadLetters | None:
            row = connection.execute(select(notices).where(notices.c.key == _named(key))).first()
            since = now - at_most_every
            if row is not None:
                if _ago(row.told_at, now) < at_most_every:
                    return None
                since = min(row.told_at, now)
            died = DEAD, deliveries.c.sink == sink, deliveries.c.settled_at > since, events.c.source != OWN_SOURCE
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
            if numbers:
                times = 1 if row is None else row.times + 1
                put(connection, notices, {"key": _named(key), "told_at": now, "times": times, "active": False})
            return DeadLetters(numbers.get("rejected", 0), numbers.get("gave_up", 0), reason or "")

        return await self._database.write(operation)


def settle_notice(connection: Connection, key: str) -> bool:
    """Note that a matter is over, in a transaction of the caller's; whether it had been told."""
    active = _all_of(_named(key)), notices.c.active.is_(True)
    return connection.execute(update(notices).where(*active).values(active=False)).rowcount > 0


def rename_notice(connection: Connection, old: str, new: str) -> None:
    """Let what was told of one matter count as told of another, in a transaction of the caller's.

    What was told of the other one already goes before; then the first is over.
    """
    if connection.execute(select(exists().where(_all_of(_named(new))))).scalar():
        settle_notice(connection, old)
        return
    rest = func.substr(notices.c.key, len(_named(old)) + 1)
    connection.execute(update(notices).where(_all_of(_named(old))).values(key=literal(_named(new)) + rest))


def _named(key: str) -> str:
    return storable(key)[:LONGEST_KEY]


def _all_of(matter: str) -> ColumnElement[bool]:
    return or_(notices.c.key == matter, notices.c.key.startswith(f"{matter}{_TURN}", autoescape=True))


def _ago(moment: datetime, now: datetime) -> timedelta:
    """What a clock that was set back makes lie in the future was told long ago."""
    return now - moment if moment <= now else timedelta.max
