"""A ledger for tests: a store on a real file, a clock moved by hand, and short ways to fill it."""

import asyncio
import functools
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import wall_now
from daemon.contract import Delivered, Incoming, Outcome, Report
from daemon.lane import Lane
from daemon.retry import DEFAULT_WAITS, judge
from daemon.store import Added, Attempted, Claim, Enrolled, Planned, Store, StoreRefused
from tests.events import event

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)

Stores = Callable[[], AbstractAsyncContextManager[Store]]
"""What the fixture `make_store` is."""


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> datetime:
        self.now += timedelta(**duration)
        return self.now


def story(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Let an async test run in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(test(*arguments, **fixtures))

    return run


@asynccontextmanager
async def opened(path: Path, clock: Callable[[], datetime]) -> AsyncIterator[Store]:
    store = Store(path, clock)
    await store.database.open()
    try:
        yield store
    finally:
        await store.database.close()


def planned(number: int | str, *sinks: str, skip: bool = False, raw: str | None = None, **changes: Any) -> Planned:
    """An event as a source lists it, and the sinks it goes to."""
    return Planned(Incoming(event(external_id=str(number), **changes), raw), sinks, skip)


async def add(store: Store, *listed: Planned, **more: Any) -> Added:
    return await store.events.add("builtbybit", listed, **more)


async def enroll(store: Store, *sinks: str, settings: str = "{}") -> dict[str, Lane]:
    return await store.sinks.enroll({name: Enrolled(name, "webhook", settings) for name in sinks})


async def claim(store: Store, sink: str = "hook", limit: int = 100) -> Sequence[Claim]:
    return (await store.deliveries.claim(sink, limit=limit, lease=LEASE)).claims


def attempted(of: Claim, outcome: Outcome, now: datetime, *, body: bytes = b"", **report: Any) -> Attempted:
    """An attempt with the verdict that the retry policy gives it."""
    verdict = judge(outcome, failures=of.failures, waits=DEFAULT_WAITS, now=now, spread=0)
    names = {"Delivered": "delivered", "TryLater": "try_later", "Rejected": "rejected", "Closed": "closed"}
    made = Report(outcome, body, **report)
    return Attempted(of, made, names[type(outcome).__name__], verdict, timedelta(milliseconds=12))


async def record(
    store: Store, *made: Attempted, sink: str = "hook", lane: Lane | None = None, release: bool = False
) -> int:
    lane = lane or Lane(since=store.database.clock())
    return await store.deliveries.record(sink, made, lane, release=release)


async def send(store: Store, sink: str = "hook", outcome: Outcome = Delivered("200"), **more: Any) -> Sequence[Claim]:  # noqa: B008
    """Claim all that is due to a sink and record the same outcome for each."""
    claims = await claim(store, sink)
    if claims:
        await record(store, *(attempted(one, outcome, store.database.clock(), **more) for one in claims), sink=sink)
    return claims


async def refusal(path: Path) -> StoreRefused:
    """What is said, in one line that names the file."""
    with pytest.raises(StoreRefused) as caught:
        async with opened(path, wall_now):
            pass
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return caught.value


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE somebodys (own)")
        connection.execute("INSERT INTO somebodys VALUES (1)")
        connection.commit()


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff garbage" * 1000)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")}


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for what a thread is about to do."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - threads cannot set asyncio's events
            await asyncio.sleep(0.005)


async def rows(store: Store, sql: str) -> list[Any]:
    """What the file holds: tuples, or plain values where one column was asked for."""
    found = await store.database.read(lambda connection: connection.exec_driver_sql(sql).all())
    return [row[0] if len(row) == 1 else tuple(row) for row in found]
