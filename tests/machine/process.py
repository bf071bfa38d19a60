"""One life of a daemon over the fakes: the only file here that knows how the rounds and the store are put together."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from daemon.app.operator import Operator
from daemon.clock import SteadyClock
from daemon.contract import Event, Gates, Sink, Source
from daemon.gathering import Gathering
from daemon.quantities import Rate
from daemon.rounds.acknowledge import Acknowledge
from daemon.rounds.alerts import Alerts
from daemon.rounds.collect import Collect
from daemon.rounds.deliver import Deliver, Shared
from daemon.rounds.line import Line
from daemon.rounds.policy import LanePolicy
from daemon.rounds.prune import Prune
from daemon.rounds.ready import MOST_AHEAD
from daemon.rounds.suspects import Suspects
from daemon.rounds.turnstile import Turnstile
from daemon.routing import parse_filter
from daemon.store import Enrolled, Store, StoreClosed
from daemon.store.gathered import MOST_TOGETHER
from daemon.store.writer import PAUSE_SECONDS
from daemon.timing import parse_digest, parse_quiet_hours
from daemon.upstream import Polling
from tests.machine.hours import Hours, in_truth

SHOP = "shop"
HOLD = timedelta(minutes=10)
KEEP, GIVE_UP_AFTER = timedelta(hours=2), timedelta(hours=9)
WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 60, 600, 3600))
DEADLINE = timedelta(seconds=60)
CONCURRENCY = 2
BATCH = {"one": 1, "two": 2, "three": 1, "people": 2}
"""The sinks there are, and how many deliveries a call of each may carry."""
IN_HAND = {name: CONCURRENCY * batch + MOST_AHEAD for name, batch in BATCH.items()} | {"people": MOST_TOGETHER}
"""Deliveries of each sink that may be claimed and without a verdict at once."""
_QUIET = parse_quiet_hours("03:00-05:00")
GATHERINGS = {
    "settings": Gathering(None, Rate(2, timedelta(minutes=1)), _QUIET, ZoneInfo("UTC")),
    "other settings": Gathering(parse_digest("20 */2 * * *"), None, _QUIET, ZoneInfo("UTC")),
}
"""How those at the sink "people" want to be told, by the settings of the plan."""
ALERT_SINK = "one"
LARGEST_STEP = timedelta(days=1)
POLLING = Polling(poll=timedelta(seconds=30), poll_min=timedelta(seconds=15), poll_max=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the configuration says: the sinks with their filters, and whether the settings of each are other ones."""

    sinks: Mapping[str, tuple[str, ...]]
    settings: str = "settings"

    def gathering(self, sink: str) -> Gathering | None:
        return GATHERINGS[self.settings] if sink == "people" else None


class Process:
    """Everything in memory, from a start to a stop or a death."""

    def __init__(
        self,
        database: Path,
        hours: Hours,
        plan: Plan,
        source: Callable[[Gates], Source],
        sinks: Mapping[str, Sink],
    ) -> None:
        self.hours = hours
        self.plan = plan
        self.clock = SteadyClock(hours.wall, hours.even)
        self.store = Store(database, self.clock)
        self._source = source
        self._sinks = {name: sinks[name] for name in plan.sinks}
        self.lanes: dict[str, Deliver] = {}
        self.operator = Operator(self.store, self.lanes)
        self.collect: Collect
        self.acknowledge: Acknowledge
        self.prune: Prune
        self._line: Line
        self._tasks: list[Any] = []

    async def open(self) -> None:
        """Take the database."""
        await self.store.database.open()

    async def start(self) -> None:
        """Remember what was, and begin to send; the order is that of `daemon/app/assembly.py`."""
        await self.store.gates.load()
        await self.store.paces.load()
        suspects = Suspects(await self.store.deliveries.void_claims(), self._wake)
        alerts = Alerts(self.store, [ALERT_SINK], self._wake)
        gatherings = {name: self.plan.gathering(name) for name in self._sinks}
        enrolled = {name: Enrolled(name, "webhook", self.plan.settings, gatherings[name]) for name in self._sinks}
        known = await self.store.sinks.enroll(enrolled)
        shared = Shared(self.store, alerts, suspects, Turnstile(self.store), lambda: None)
        for name, sink in self._sinks.items():
            policy = LanePolicy(WAITS, CONCURRENCY, BATCH[name], DEADLINE, gatherings[name])
            self.lanes[name] = Deliver(name, sink, known[name], policy, shared)
        self._line = Line(self._source(self.store.gates), SHOP)
        self.collect = Collect(
            self._line,
            self.store,
            alerts,
            polling=POLLING,
            memory=await self.store.sources.enroll(SHOP),
            first_start="send",
            route=self._route,
            is_expected=lambda _: False,
            wake=self._wake,
            on_swept=lambda: None,
        )
        self.acknowledge = Acknowledge(self._line, self.store, alerts, hold=HOLD, on_progress=lambda: None)
        news = {name: lane.news for name, lane in self.lanes.items()}
        self.prune = Prune(self.store, news, keep=KEEP, give_up_after=dict.fromkeys(self._sinks, GIVE_UP_AFTER))
        self._tasks = [asyncio.create_task(lane.run()) for lane in self.lanes.values()]

    def _route(self, event: Event) -> tuple[str, ...]:
        return tuple(name for name, filter_ in self.plan.sinks.items() if parse_filter(filter_).matches(event.kind))

    def _wake(self, names: Collection[str]) -> None:
        for name in names:
            if name in self.lanes:
                self.lanes[name].wake()

    async def barrier(self) -> None:
        """Return once everything that is queued for the database is on disk."""
        with suppress(StoreClosed):
            await self.store.database.write(_nothing)

    async def notice_clock(self) -> None:
        """Look, as the daemon does each second, whether somebody set the wall clock."""
        if (step := self.clock.resync()) is None:
            return
        if abs(step) > LARGEST_STEP:
            self.prune.suspended = True
        for lane in self.lanes.values():
            lane.shift(step)
        await self.store.shift(step)
        self._wake(self.lanes)
        self._line.shift(step)

    async def settle(self) -> None:
        """Stop in good order, all but the database."""
        for lane in self.lanes.values():
            await lane.stop(timedelta(seconds=25))
        await self.acknowledge()
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Give the file up, whatever this process did last; what was queued is written before."""
        await self.store.database.close()

    @asynccontextmanager
    async def full_disk(self) -> AsyncIterator[None]:
        """Meanwhile not a byte can be written; SQLite's own limit on pages gives the error that a full disk gives."""
        full = True

        def fill(connection: Connection, _: datetime) -> None:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages if full else 2**30}")
            if full:
                connection.exec_driver_sql("INSERT INTO meta VALUES ('big', zeroblob(100000))")

        with patch.dict(PAUSE_SECONDS, {sqlite3.SQLITE_FULL: 0.005}):
            filling = asyncio.ensure_future(self.store.database.write(fill))
            await in_truth(lambda: self.store.database.disk_full)
            yield
            full = False
            await filling


def _nothing(connection: Connection, now: datetime) -> None:
    """Change nothing; what is written after it, is committed after it."""
