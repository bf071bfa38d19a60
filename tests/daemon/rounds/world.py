"""A shop at the simulator with the rounds of its source, on a real database, at a time that a test sets."""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from daemon.clock import Clock
from daemon.contract import Delivered, Event, Incoming, Report
from daemon.http import Http
from daemon.retry import Verdict
from daemon.rounds.acknowledge import Acknowledge
from daemon.rounds.alerts import Alerts
from daemon.rounds.collect import Collect
from daemon.rounds.line import Line
from daemon.simulator import Faults, Simulator
from daemon.simulator.switches import plain
from daemon.sources.builtbybit import BuiltByBitSource
from daemon.store import Attempted, Enrolled, Planned, Store
from daemon.upstream import Polling

LEASE = timedelta(minutes=2)
HOLD = timedelta(minutes=5)
POLLING = Polling(poll=timedelta(seconds=30), poll_min=timedelta(seconds=15), poll_max=None)


class Hand:
    """A clock that stands still until it is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@asynccontextmanager
async def opened(folder: Path, clock: Clock, sinks: Sequence[str] = ()) -> AsyncIterator[Store]:
    """The ledger of a daemon with these sinks."""
    store = Store(folder / "eventferry.db", clock)
    await store.database.open()
    try:
        await store.gates.load()
        await store.paces.load()
        await store.sinks.enroll({name: Enrolled(name, "webhook", "settings") for name in sinks})
        yield store
    finally:
        await store.database.close()


def look(folder: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the database from outside, as another process would."""
    uri = f"file:{folder / 'eventferry.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
        return connection.execute(query, values).fetchall()


async def settle(store: Store, sink: str, number: int = 1000) -> int:
    """Let so many deliveries of a sink that are due succeed."""
    claims = (await store.deliveries.claim(sink, limit=number, lease=LEASE)).claims
    lanes = await store.sinks.enroll({sink: Enrolled(sink, "webhook", "settings")})
    report, verdict = Report(Delivered("HTTP 200")), Verdict("delivered", "HTTP 200", 0)
    attempted = [Attempted(claim, report, "delivered", verdict, timedelta()) for claim in claims]
    return await store.deliveries.record(sink, attempted, lanes[sink], release=False)


async def arrive(store: Store, number: int, *sinks: str, kind: str = "purchase", first: int = 1) -> None:
    """Store so many events that go to these sinks, as a source would bring them."""
    now = store.database.clock()
    events = [Event("shop", str(each), "1", kind, now, {"n": each}) for each in range(first, first + number)]
    await store.events.add("shop", [Planned(Incoming(event), sinks) for event in events])


def differing(faults: Faults) -> str:
    """A short name for switches: those that are not at their default."""
    return ",".join(f"{name}={value}" for name, value in plain(faults).items())


class Shop:
    """One source as the daemon runs it: its line, its rounds, and what they told others."""

    def __init__(self, sim: Simulator, folder: Path, store: Store, source: BuiltByBitSource, line: Line) -> None:
        self.sim = sim
        self.folder = folder
        self.store = store
        self.source = source
        self.line = line
        self.woken: list[str] = []
        self.swept = 0
        self.progress = 0
        self.collect: Collect
        self.acknowledge: Acknowledge

    def stored(self) -> list[str]:
        """Ids of the shop's events in the ledger, in the order in which they were stored."""
        return [row[0] for row in look(self.folder, "SELECT external_id FROM events WHERE source = 'shop' ORDER BY id")]

    def completed(self, by: str = "us") -> set[str]:
        """Ids of events that the ledger holds for completed."""
        query = "SELECT external_id FROM events WHERE acknowledged_by = ? AND acknowledged_at IS NOT NULL"
        return {row[0] for row in look(self.folder, query, by)}

    def told(self, kind: str = "") -> list[str]:
        """What the daemon had to say, oldest first; all of it, or of one kind."""
        query = "SELECT kind, data FROM events WHERE source = 'eventferry' ORDER BY id"
        return [json.loads(data)["text"] for each, data in look(self.folder, query) if not kind or each == kind]

    async def brought(self, number: int, *, delivered: bool = True) -> list[str]:
        """Let so many events happen, be stored, and be delivered to the sink `hook`; their ids."""
        ids = [self.sim.upstream.add_sample() for _ in range(number)]
        await self.collect()
        if delivered:
            await settle(self.store, "hook")
        return ids

    def batches(self) -> list[int]:
        """How many ids each completion that was asked for held."""
        return [len(call.event_ids) for call in self.sim.upstream.calls if call.method == "POST"]

    def requests(self, method: str) -> int:
        """How many calls of this kind came to the API."""
        return sum(call.method == method for call in self.sim.upstream.calls)


@asynccontextmanager
async def running(
    sim: Simulator,
    folder: Path,
    clock: Clock,
    *,
    sinks: Sequence[str] = ("hook",),
    alert_sinks: Sequence[str] = (),
    hold: timedelta = HOLD,
    first_start: Any = "send",
    wants: Callable[[str], bool] = lambda kind: True,
    name: str = "shop",
    **settings: Any,
) -> AsyncIterator[Shop]:
    """A daemon's source from start to stop; one after the other on the same folder is a restart."""
    async with opened(folder, clock, [*sinks, *alert_sinks]) as store, shop_of(
        sim, folder, store, sinks=sinks, alert_sinks=alert_sinks, hold=hold, first_start=first_start, wants=wants,
        name=name, **settings,
    ) as shop:  # fmt: skip
        yield shop


@asynccontextmanager
async def shop_of(
    sim: Simulator,
    folder: Path,
    store: Store,
    *,
    sinks: Sequence[str] = ("hook",),
    alert_sinks: Sequence[str] = (),
    hold: timedelta = HOLD,
    first_start: Any = "send",
    wants: Callable[[str], bool] = lambda kind: True,
    name: str = "shop",
    **settings: Any,
) -> AsyncIterator[Shop]:
    """A source on a ledger that is open already."""
    given = {"base_url": sim.api_url, "token": sim.token} | settings
    clock = store.database.clock
    source = BuiltByBitSource(name, BuiltByBitSource.Settings.model_validate(given), Http(), store.gates, clock)
    shop = Shop(sim, folder, store, source, Line(source, name))

    def wake(names: Collection[str]) -> None:
        shop.woken += names

    def on_swept() -> None:
        shop.swept += 1

    def on_progress() -> None:
        shop.progress += 1

    alerts = Alerts(store, alert_sinks, wake)
    shop.collect = Collect(
        shop.line,
        store,
        alerts,
        polling=POLLING,
        memory=await store.sources.enroll(name),
        first_start=first_start,
        route=lambda event: tuple(sinks) if wants(event.kind) else (),
        is_expected=wants,
        wake=wake,
        on_swept=on_swept,
    )
    shop.acknowledge = Acknowledge(shop.line, store, alerts, hold=hold, on_progress=on_progress)
    try:
        yield shop
    finally:
        await source.close()
