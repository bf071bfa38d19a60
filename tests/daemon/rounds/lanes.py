"""Sinks that do as a test says, and the lanes that lead to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from daemon.clock import Clock
from daemon.contract import Delivered, Delivery, Report, Sink, Summary
from daemon.gathering import Gathering
from daemon.lane import Health
from daemon.retry import DEFAULT_WAITS
from daemon.rounds.alerts import Alerts
from daemon.rounds.deliver import Deliver, Shared
from daemon.rounds.policy import LanePolicy
from daemon.rounds.suspects import Suspects
from daemon.rounds.troubles import Troubles
from daemon.rounds.turnstile import Turnstile
from daemon.store import Enrolled, Store
from tests.daemon.rounds.world import arrive, look, opened

ADVICE = "Put a new URL into /etc/eventferry/secrets/{}, then: sudo systemctl restart eventferry"
STATES = "SELECT state, count(*) FROM deliveries GROUP BY 1 ORDER BY 1"
Answer = Callable[[Delivery], Awaitable[Any]]


async def accept(delivery: Delivery) -> Report:
    return Report(Delivered("HTTP 200"), body=f"body {delivery.event.external_id}".encode(), answer="thanks")


async def hang(delivery: Delivery) -> Report:
    await asyncio.Event().wait()
    raise AssertionError


def always(outcome: Any) -> Answer:
    async def answer(delivery: Delivery) -> Report:
        return Report(outcome)

    return answer


class Scripted(Sink):
    """Answers as it is told at the moment, and remembers everything."""

    Settings = BaseModel

    def __init__(
        self,
        answer: Answer = accept,
        *,
        concurrency: int = 4,
        batch_limit: int = 1,
        seconds: float = 30,
        waits: Sequence[timedelta] = DEFAULT_WAITS,
        gathering: Gathering | None = None,
    ) -> None:
        self.answer = answer
        self.policy = LanePolicy(tuple(waits), concurrency, batch_limit, timedelta(seconds=seconds), gathering)
        self.got: list[Delivery] = []
        self.batches: list[list[str]] = []
        self.summaries: list[Summary] = []
        self.under_way = self.most_under_way = 0

    async def deliver(self, delivery: Delivery) -> Report:
        self.got.append(delivery)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.answer(delivery)
        finally:
            self.under_way -= 1

    async def deliver_batch(self, deliveries: Sequence[Delivery]) -> Sequence[Report]:
        self.batches.append([delivery.event.external_id for delivery in deliveries])
        return await super().deliver_batch(deliveries)

    async def deliver_summary(self, summary: Summary) -> Report:
        """Answered like its oldest delivery."""
        self.summaries.append(summary)
        report: Report = await self.answer(summary.deliveries[0])
        return report

    def told(self) -> list[str]:
        """The summaries in order: the cause, and the events in them."""
        return [f"{one.cause}: {' '.join(each.event.external_id for each in one.deliveries)}" for one in self.summaries]

    def ids(self) -> list[str]:
        """What it was given, in order, repeats included."""
        return [delivery.event.external_id for delivery in self.got]


@dataclass
class Lanes:
    """The lanes of a daemon that has no source."""

    store: Store
    folder: Path
    of: dict[str, Deliver] = field(default_factory=dict)
    settled: int = 0
    """Deliveries that got their last verdict since the start, as of the last time that a lane told."""
    suspects: Suspects | None = None
    troubles: Troubles | None = None
    _before: int = 0

    def __post_init__(self) -> None:
        self._before = self._verdicts()

    def _verdicts(self) -> int:
        sent = "SELECT 1 FROM attempts WHERE delivery_id = deliveries.id AND outcome <> 'cut_off'"
        query = f"SELECT count(*) FROM deliveries WHERE settled_at IS NOT NULL AND EXISTS ({sent})"
        return int(look(self.folder, query)[0][0])

    def count_settled(self) -> None:
        self.settled = self._verdicts() - self._before

    async def arrive(self, number: int, *sinks: str, first: int = 1) -> None:
        """Store so many events for these sinks, and wake them as a sweep does."""
        await arrive(self.store, number, *sinks, first=first)
        self.wake(sinks)

    def wake(self, names: Collection[str] = ()) -> None:
        for name in names or self.of:
            if name in self.of:
                self.of[name].wake()

    def health(self, name: str) -> Health:
        return self.of[name].lane.health if name in self.of else "ok"

    async def hour(self, clock: Any, minutes: int = 60) -> None:
        """Let an hour pass in which somebody looks every ten minutes, as the daemon does each minute."""
        for _ in range(minutes // 10):
            await self.pass_time(clock, minutes=10)
            assert self.troubles is not None
            await self.troubles()
        await self.pass_time(clock)

    async def pass_time(self, clock: Any, **by: float) -> None:
        """Let time pass, and the lanes notice and come to rest."""
        clock.advance(**by)
        self.wake()
        async with asyncio.timeout(10):
            for lane in self.of.values():
                await lane.drained()


@asynccontextmanager
async def running(
    folder: Path, clock: Clock, *, alert_sinks: Sequence[str] = (), stop_within: float = 0.0, **sinks: Scripted
) -> AsyncIterator[Lanes]:
    """Lanes from start to stop; one after the other on the same folder is a restart."""
    async with opened(folder, clock) as store:
        rig = Lanes(store, folder)
        alerts = Alerts(store, alert_sinks, rig.wake, health=rig.health, advice=lambda name, _: ADVICE.format(name))
        rig.troubles = Troubles(rig.of, (), alerts)
        suspects = rig.suspects = Suspects(await store.deliveries.void_claims(), rig.wake)

        known = await store.sinks.enroll(
            {name: Enrolled(name, "webhook", "settings", sink.policy.gathering) for name, sink in sinks.items()}
        )
        shared = Shared(store, alerts, suspects, Turnstile(store), rig.count_settled)
        for name, sink in sinks.items():
            rig.of[name] = Deliver(name, sink, known[name], sink.policy, shared)
        tasks = [asyncio.create_task(lane.run()) for lane in rig.of.values()]
        try:
            yield rig
        finally:
            await asyncio.gather(*(lane.stop(timedelta(seconds=stop_within)) for lane in rig.of.values()))
            for task in tasks:
                await asyncio.wait_for(task, 5)


async def until(what: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)
