"""A daemon under load that is killed again and again, at a moment of the clock or at a point of a call."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.simulator.exchange import Seen, Stage
from daemon.simulator.faults import Behaviour
from daemon.simulator.server import Simulator
from tests.acceptance.conftest import World
from tests.soak.oracle import Evidence
from tests.soak.witness import Life, born, gather, unsettled

PATIENCE = 20.0
"""Seconds after which a point is not waited for any more: the daemon is killed all the same."""
END_PATIENCE = 120.0
MOST_ROUNDS = 10
UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """A stage of the so manieth call of a sort, as it shows at the rim; the kill comes `delay` seconds later."""

    side: str
    method: str
    stage: Stage
    delay: float = 0.0
    nth: int = 1


POINTS = {
    "fetched, nothing answered": Point("api", "GET", "processed"),
    "fetched": Point("api", "GET", "answered"),
    "sent, not yet accepted": Point("webhook", "POST", "received"),
    "accepted, not answered": Point("webhook", "POST", "processed"),
    "accepted and answered": Point("webhook", "POST", "answered"),
    "posted to the chat, not answered": Point("discord", "POST", "processed"),
    "mailed, not yet taken": Point("mail", "DATA", "received"),
    "mailed and taken, not answered": Point("mail", "DATA", "processed"),
    "recorded, not yet completed": Point("webhook", "POST", "answered", delay=0.4),
    "completing, not yet in effect": Point("api", "POST", "received"),
    "completed, not answered": Point("api", "POST", "processed"),
    "completed and answered": Point("api", "POST", "answered"),
}
"""The windows W1 to W6, as far as they can be told from outside."""


class Ordeal:
    """A world and the lives of its daemon, one after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.listed: list[str] = []
        self.lives: list[Life] = []
        self.world: World
        self._chance = random.Random(seed)
        self._early: list[str] = []
        self._point: Point | None = None
        self._calls_left = 0

    async def live(self, moment: Point | float, *, events: int = 5) -> bool:
        """One life: events wait, more come, and it is killed so many seconds after its start, or at a point.

        Whether it came to that point.
        """
        self._begin(events, lost_answers=self._chance.choice((0, 0, 1, 2)))
        process = await self.world.start()
        if isinstance(moment, Point):
            self._point, self._calls_left = moment, moment.nth
        feeding = asyncio.create_task(self._feed(events))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE if isinstance(moment, Point) else moment):
                    await process.wait()
        finally:
            reached, self._point = self._point is None, None
            feeding.cancel()
        self._kill()
        assert self._ended(await process.wait()), f"it ended by itself:\n{self.world.log()[-8000:]}"
        return reached

    async def round(self, *, events: int = 0, under: Sequence[str] = ()) -> bool:
        """A life of `eventferry once`, which ends by itself; whether something that it ran under killed it."""
        self._begin(events)
        process = await self.world.start("once", under=under)
        async with asyncio.timeout(END_PATIENCE):
            return self._ended(await process.wait())

    async def rounds(self) -> Evidence:
        """`eventferry once`, as cron calls it, until all is completed."""
        for _ in range(MOST_ROUNDS):
            await self.round()
            if not self._unfinished():
                return self.evidence()
        raise AssertionError(f"{MOST_ROUNDS} rounds did not suffice:\n{self.world.log()[-8000:]}")

    async def live_on(self, patience: float = END_PATIENCE) -> Evidence:
        """The last life: nobody disturbs it; stopped once all is completed."""
        self._begin(1)
        await self.world.start()
        await self.world.until(lambda: not self._unfinished(), patience)
        self._ended(await self.world.stop())
        return self.evidence()

    def evidence(self) -> Evidence:
        """All that was seen; to be asked for when nothing runs."""
        return gather(self.world, self.lives, self.listed, self._early)

    def on_request(self, stage: Stage, seen: Seen) -> None:
        """The simulator's hook: watches completions, and kills at the point that was agreed."""
        self._early += unsettled(self.world, stage, seen)
        point = self._point
        if point is None or time.monotonic() < self.lives[-1].began:
            return
        if (point.side, point.method, point.stage) != (seen.side, seen.method, stage):
            return
        self._calls_left -= 1
        if not self._calls_left:
            self._point = None
            if point.delay:
                asyncio.get_running_loop().call_later(point.delay, self._kill)
            else:
                self._kill()

    def configure(self) -> None:
        """A sink of each kind, one that is slow, and one whose answers get lost now and then."""
        retries = f"retries = {['1s'] * 20}"
        sinks = self.world.everything() + self.world.webhook("slow") + self.world.webhook("flaky", retries)
        self.world.configure(sinks=sinks, source='complete_within = "1h"')

    def _begin(self, events: int, *, lost_answers: int = 0) -> None:
        self._behave(lost_answers)
        self.listed += [self.world.sim.upstream.add_sample() for _ in range(events)]
        self.lives.append(born(self.world))

    def _behave(self, lost_answers: int) -> None:
        inbox = self.world.sim.inbox
        inbox.behave("hook", Behaviour(limit=UNLIMITED))
        inbox.behave("chat", Behaviour(limit=UNLIMITED))
        inbox.behave("slow", Behaviour(limit=UNLIMITED, latency=0.03))
        inbox.behave("flaky", Behaviour(limit=UNLIMITED, drop="after" if lost_answers else "never", times=lost_answers))

    async def _feed(self, events: int) -> None:
        for _ in range(events):
            await asyncio.sleep(self._chance.expovariate(10))
            self.listed.append(self.world.sim.upstream.add_sample())

    def _kill(self) -> None:
        process = self.world.process
        if process is not None and process.returncode is None:
            process.kill()

    def _ended(self, code: int) -> bool:
        assert code in (0, -signal.SIGKILL), f"it ended with {code}:\n{self.world.log()[-8000:]}"
        self.lives[-1].killed = code != 0
        return self.lives[-1].killed

    def _unfinished(self) -> bool:
        left = "SELECT 1 FROM events WHERE acknowledged_at IS NULL LIMIT 1"
        return bool(self.world.sim.upstream.pending) or bool(self.world.rows(left))


@asynccontextmanager
async def ordeal(folder: Path, seed: int) -> AsyncIterator[Ordeal]:
    """Make one in a folder of its own; what still runs at the end is killed."""
    one = Ordeal(folder, seed)
    async with Simulator.start(seed=seed, on_request=one.on_request) as sim:
        one.world = World(sim, folder)
        one.configure()
        try:
            yield one
        finally:
            one._kill()
            if one.world.process is not None:
                await one.world.process.wait()
