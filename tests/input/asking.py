"""The real source and its rounds on a real ledger, against a server that sends any bytes."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, cast

from daemon.store import Store
from tests.daemon.rounds.world import Hand, Shop, look, opened, settle, shop_of
from tests.input.answers import HastyLoop, body, page
from tests.input.watch import MEMORY, one_line, watched
from tests.receivers import Answer, HttpReceiver, Request, Writer, http_receiver

TOKEN = "canary-api-t0ken-0123456789"
SUCCESS = b'{"result":"success"}'
GOOD = 999_000_001
"""The event of the good answer that comes after each bad one."""
Health = Literal["ok", "failing", "refused", "throttled"]


@dataclass(frozen=True)
class Case:
    """What the API sends, and what must come of it."""

    answer: Answer
    health: Health = "ok"
    says: str = ""
    """A part of the reason; empty where there is none."""
    stored: tuple[str, ...] = ()
    aside: int = 0
    """Entries without an id."""
    requests: int | None = None
    wait: float | tuple[float, float] = (0, 24 * 3600 + 1)
    """How long nothing is asked, in seconds."""
    memory: int = MEMORY
    deadline: float = 0.0
    """What the API holds up for ever, and when it must be given up, in seconds."""


class Api:
    """Where the daemon asks, in place of BuiltByBit; good for whatever its case does not concern."""

    token = TOKEN

    def __init__(self, server: HttpReceiver) -> None:
        self.server = server
        self.read: Answer = body(page())
        self.write: Answer = body(SUCCESS)
        server.answer = self._answer

    @property
    def api_url(self) -> str:
        return f"{self.server.url}/v2"

    async def _answer(self, request: Request, writer: Writer) -> None:
        await (self.read if request.method == "GET" else self.write)(request, writer)

    def asked(self, method: str) -> int:
        """How many requests of this kind came."""
        return sum(request.method == method for request in self.server.requests)


class Table:
    """One ledger for many cases, each with a source of its own, on a loop whose clock can be put forward."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Hand()
        self.store: Store
        self.cases = 0
        self.loop = HastyLoop()

    @contextmanager
    def laid(self) -> Iterator["Table"]:
        """Ready for cases."""
        with asyncio.Runner(loop_factory=lambda: self.loop) as self._runner:
            ledger = opened(self.folder, self.clock)
            self.store = self._runner.run(ledger.__aenter__())
            try:
                yield self
            finally:
                self._runner.run(ledger.__aexit__(None, None, None))

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        """Let it happen, at the same time as every other case."""
        self.clock.now = Hand().now
        self.cases += 1
        self._runner.run(scenario)

    @asynccontextmanager
    async def shop(self, **more: Any) -> AsyncIterator[tuple[Shop, Api]]:
        """A source with its rounds that asks such an API."""
        async with http_receiver() as server:
            api = Api(server)
            name = f"shop{self.cases}"
            async with shop_of(cast(Any, api), self.folder, self.store, name=name, **more) as shop:
                yield shop, api


async def given_up(loop: HastyLoop, api: Api, act: Coroutine[Any, Any, Any], after: float) -> Any:
    """The result of something that hangs; it must end at its deadline, and not before."""
    api.server.arrived.clear()
    task = asyncio.ensure_future(act)
    await api.server.arrived.wait()
    loop.hurried += after - 3
    await asyncio.sleep(0.05)
    assert not task.done()
    loop.hurried += 4
    return await task


def collects(table: Table, case: Case) -> None:
    """Let the case be the answer to a sweep; then a good one, which must be dealt with as ever."""

    async def scenario() -> None:
        async with table.shop() as (shop, api):
            api.read = case.answer
            with watched([TOKEN], case.memory):
                sweep = shop.collect()
                wait = await (given_up(table.loop, api, sweep, case.deadline) if case.deadline else sweep)
            health = shop.line.health["read"]
            assert (health.health, stored(shop)) == (case.health, case.stored), health.reason
            assert one_line(health.reason)
            assert case.says in health.reason
            assert bool(case.says) == bool(health.reason), health.reason
            assert TOKEN not in health.reason
            assert case.requests in (None, api.asked("GET"))
            assert aside(shop) == case.aside
            if case.stored:
                await completes(shop)
            await waits(shop, api, table.clock, wait, case.wait)
            await recovers(shop, api)

    table.run(scenario())


def stored(shop: Shop) -> tuple[str, ...]:
    """Ids of its events in the ledger, in the order in which they were stored."""
    rows = look(shop.folder, "SELECT external_id FROM events WHERE source = ? ORDER BY id", shop.line.name)
    return tuple(row[0] for row in rows)


def completed(shop: Shop, by: str = "us") -> set[str]:
    """Ids of its events that the ledger holds for completed."""
    query = "SELECT external_id FROM events WHERE source = ? AND acknowledged_by = ? AND acknowledged_at IS NOT NULL"
    return {row[0] for row in look(shop.folder, query, shop.line.name, by)}


def aside(shop: Shop) -> int:
    """How many of its entries without an id are kept."""
    ((number,),) = look(shop.folder, "SELECT count(*) FROM unidentified WHERE source = ?", shop.line.name)
    return int(number)


async def waits(shop: Shop, api: Api, clock: Hand, wait: timedelta, expected: float | tuple[float, float]) -> None:
    """Pass the time until the next request may go out; none may before, however often the round is hastened."""
    shortest, longest = expected if isinstance(expected, tuple) else (expected, expected + 0.6)
    assert shortest <= wait.total_seconds() <= longest
    asked = api.asked("GET")
    if shop.line.health["read"].health != "ok":
        clock.advance(seconds=wait.total_seconds() - 0.6)
        await shop.collect()
        assert api.asked("GET") == asked
    clock.advance(seconds=wait.total_seconds() + 0.6)


async def recovers(shop: Shop, api: Api) -> None:
    """The next good answer is dealt with as if nothing had been."""
    api.read = body(page(GOOD, total=1))
    await shop.collect()
    assert shop.line.health["read"].health == "ok"
    assert str(GOOD) in stored(shop)


async def completes(shop: Shop) -> None:
    """All that was stored can be delivered and told upstream."""
    await settle(shop.store, "hook", 10_000)
    await shop.acknowledge()
    assert completed(shop) == set(stored(shop))
