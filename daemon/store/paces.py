"""The limits on messages that sinks share: asked in memory before each message, written through to disk."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select

from daemon.columns import DAMAGED_TIME
from daemon.contract import Pace
from daemon.http import LONGEST_RETRY_AFTER, sane_wait
from daemon.store.database import Database
from daemon.store.upsert import put
from daemon.tables import paces

_AT_ONCE = 6
"""A sixth of a rate may be used up at once; the rest comes evenly."""
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Spent:
    """How much of one limit is used up."""

    opens_at: datetime = _LONG_AGO
    """Nothing goes out before."""
    spent_until: datetime = _LONG_AGO
    """When the allowance is whole again."""

    def free_at(self, pace: Pace) -> datetime:
        """From when on the next message may go out; past where it may at once."""
        if pace.messages is None:
            return self.opens_at
        return max(self.opens_at, self.spent_until - _step(pace, pace.messages) * (_at_once(pace.messages) - 1))

    def after(self, pace: Pace, messages: int, now: datetime) -> "Spent":
        """With so many messages more."""
        if pace.messages is None:
            return self
        return replace(self, spent_until=max(self.spent_until, now) + _step(pace, pace.messages) * messages)


def _at_once(messages: int) -> int:
    return max(1, messages // _AT_ONCE)


def _step(pace: Pace, messages: int) -> timedelta:
    """From one message to the next, so that those at once and those that follow within `per` are no more than all."""
    return pace.per / (messages - _at_once(messages) + 1) + timedelta.resolution  # it may have been rounded down


class Paces:
    """How much of each limit is used up, by the names of the paces."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._spent: dict[str, Spent] = {}

    async def load(self) -> None:
        """At start: what was held is held on, though no longer than we ever obey."""
        latest = self._database.clock() + LONGEST_RETRY_AFTER
        query = select(paces.c.name, paces.c.opens_at, paces.c.spent_until)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        self._spent = {
            row.name: Spent(*(_LONG_AGO if at == DAMAGED_TIME else min(at, latest) for at in row[1:])) for row in rows
        }

    def free_at(self, wanted: Iterable[Pace]) -> datetime:
        """From when on the next message may go out under all of these; past where it may at once."""
        return max((self._of(pace.name).free_at(pace) for pace in wanted), default=_LONG_AGO)

    async def spend(self, wanted: Iterable[Pace], messages: int = 1) -> None:
        """Count messages, durably."""
        now = self._database.clock()
        await self._keep({p.name: self._of(p.name).after(p, messages, now) for p in wanted if p.messages is not None})

    async def hold(self, holds: Mapping[str, timedelta]) -> None:
        """Let nothing go out under these names for so long, durably; a hold never shortens another."""
        now = self._database.clock()
        held = {name: now + (sane_wait(wait.total_seconds()) or timedelta()) for name, wait in holds.items()}
        await self._keep({n: replace(self._of(n), opens_at=max(self._of(n).opens_at, at)) for n, at in held.items()})

    def lengthen(self, wanted: Iterable[Pace], took: timedelta) -> None:
        """While a message was under way nothing was regained: it may have been counted only as its answer came."""
        for pace in wanted:
            if pace.name in self._spent:
                spent = self._spent[pace.name]
                self._spent[pace.name] = replace(spent, spent_until=spent.spent_until + took)

    def shift(self, step: timedelta) -> Mapping[str, Spent]:
        """After the wall clock was set: what is held or spent is so for as long as before. For `put_paces`."""
        self._spent = {
            name: Spent(spent.opens_at + step, spent.spent_until + step) for name, spent in self._spent.items()
        }
        return dict(self._spent)

    def _of(self, name: str) -> Spent:
        return self._spent.get(name, Spent())

    async def _keep(self, changed: Mapping[str, Spent]) -> None:
        if changed:
            self._spent.update(changed)
            await self._database.write(lambda connection, _: put_paces(connection, changed))


def put_paces(connection: Connection, changed: Mapping[str, Spent]) -> None:
    """Write paces in a transaction of the caller's."""
    for name, spent in changed.items():
        put(connection, paces, {"name": name, "opens_at": spent.opens_at, "spent_until": spent.spent_until})
