"""Hand one sink what is due to it: claimed in groups, sent side by side, each verdict recorded."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from daemon import log
from daemon.contract import Report, Sink
from daemon.lane import Allowance, Lane, after, allowance, shifted
from daemon.retry import judge
from daemon.rounds.alerts import Alerts
from daemon.rounds.attempt import OUTCOME_NAMES, STOPPED, ask
from daemon.rounds.lane_news import LaneNews
from daemon.rounds.ready import Ready
from daemon.rounds.recorder import Recorder
from daemon.rounds.suspects import Suspects
from daemon.store import Attempted, Claim, Store, StoreBroken, StoreClosed

CRASH_WAIT = timedelta(seconds=5)
LAST_LOOK_SECONDS = 5.0
MOST_UNRECORDED = 64
"""Deliveries that were answered and whose verdict is not on disk yet, at most: a crash repeats them (I5)."""

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """How a sink is treated."""

    waits: tuple[timedelta, ...]
    concurrency: int
    batch_limit: int
    deadline: timedelta
    """For one call of the sink, whatever it does."""


class Deliver:
    """One sink's lane: what is due goes out as soon as it may, beside all other lanes."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        lane: Lane,
        policy: LanePolicy,
        store: Store,
        alerts: Alerts,
        suspects: Suspects,
        on_settled: Callable[[], None],
    ) -> None:
        self.name = name
        self.lane = lane
        self.paused = False
        self._sink = sink
        self._policy = policy
        self._lease = policy.deadline * 2
        self._store = store
        self._news = LaneNews(name, alerts)
        self._recorder = Recorder(
            name, store, self._news, on_settled=on_settled, on_room=self._send_more, on_rest=self._rest
        )
        self._suspects = suspects
        self._ready = Ready(policy.concurrency * policy.batch_limit, policy.deadline, store.database.clock())
        self._under_way: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._woken.set()
        self._stopping = False
        self._looking = False
        self._calm = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    def _rest(self) -> None:
        self._calm.set()

    async def drained(self) -> bool:
        """Wait until nothing is under way and nothing more may go out now; whether there was anything to wait for."""
        waited = False
        while self._under_way or self._looking or self._woken.is_set() or self._recorder.busy:
            waited = True
            self._calm.clear()
            await self._calm.wait()
        return waited

    async def run(self) -> None:
        """Send what is due, until stopped."""
        while not self._stopping:
            self._woken.clear()
            self._looking = True
            try:
                wait = await self._look()
            except (StoreClosed, StoreBroken):
                return
            except Exception as error:  # noqa: BLE001 - a lane that ended would leave its sink without a word
                _log.error("lane.crashed", sink=self.name, exc_info=error)
                wait = CRASH_WAIT
            finally:
                self._looking = False
                self._rest()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else max(wait.total_seconds(), 0)):
                    await self._woken.wait()

    async def _look(self) -> timedelta | None:
        """Start and claim what may go out now; how long until that may change by itself."""
        now = self._store.database.clock()
        may = self._allowance(now)
        if self._ready and (not may.flows or self._ready.stale(now)):
            await self._give_back()
        if may.flows:
            return None if self._send_ready() else await self._claim_ahead(now)
        if may.batches == 0:
            return None if may.until is None else may.until - now
        if (suspect := self._suspects.next(self.name)) is not None:
            self._start(self._send_alone(suspect, may.probe))
            return None
        return await self._probe(now)

    def _allowance(self, now: datetime) -> Allowance:
        if self.paused or self._stopping or self._store.database.disk_full:
            return Allowance(0)
        return allowance(self.lane, now=now, under_way=len(self._under_way), concurrency=self._policy.concurrency)

    def _send_ready(self) -> bool:
        """Use every free slot; a suspect goes first. Whether enough is ready for those to come."""
        now = self._store.database.clock()
        may = self._allowance(now)
        slots = may.batches if may.flows and self._recorder.unrecorded < MOST_UNRECORDED else 0
        if slots and (suspect := self._suspects.next(self.name)) is not None:
            self._start(self._send_alone(suspect, probe=False))
            slots -= 1
        while slots and self._ready and not self._ready.stale(now):
            self._start(self._send(self._ready.take(self._policy.batch_limit), probe=False))
            slots -= 1
        return may.flows and self._ready.enough(now)

    async def _claim_ahead(self, now: datetime) -> timedelta | None:
        """Claim for the free slots, and beyond them as much as goes out soon."""
        room = self._ready.room(self._allowance(now).batches * self._policy.batch_limit, now)
        if room <= 0:
            return None
        claimed = await self._store.deliveries.claim(self.name, limit=room, lease=self._lease)
        more_waits = len(claimed.claims) + claimed.quarantined == room
        self._ready.put(claimed.claims, now, more_waits=more_waits)
        self._send_ready()
        await self._news.quarantined(claimed.quarantined)
        return None if more_waits or claimed.next_due_at is None else claimed.next_due_at - now

    async def _give_back(self) -> None:
        await self._store.deliveries.unclaim(self._ready.take(len(self._ready)))

    def _start(self, sending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(sending)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._send_more()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StoreClosed | StoreBroken):
            _log.error("delivery.crashed", sink=self.name, exc_info=error)

    def _send_more(self) -> None:
        if not self._send_ready():
            self.wake()

    async def _send_alone(self, row_id: int, probe: bool) -> None:
        """Try a delivery that an earlier process died over, or beside."""
        try:
            claimed = await self._store.deliveries.claim_suspect(self.name, row_id, lease=self._lease)
            if claimed.claims:
                await self._send(claimed.claims, probe)
                await self._recorder.rested()
            await self._news.quarantined(claimed.quarantined)
        finally:
            self._suspects.over()

    async def _probe(self, now: datetime) -> timedelta | None:
        """Try a single delivery, so that it does not use up the attempts of all."""
        claimed = await self._store.deliveries.claim_probe(
            self.name, last_probed=self.lane.last_probed, lease=self._lease
        )
        spared = True
        if not claimed.claims:
            # The only delivery of a failing sink follows its own schedule; that of a stopped one waits for the sink.
            spared = self.lane.health == "stopped"
            claimed = await self._store.deliveries.claim(self.name, limit=1, lease=self._lease)
        if self._stopping:
            await self._store.deliveries.unclaim(claimed.claims)
            return None
        if claimed.claims:
            self._start(self._send(claimed.claims, probe=spared))
        await self._news.quarantined(claimed.quarantined)
        return None if claimed.next_due_at is None else claimed.next_due_at - now

    async def _send(self, claims: Sequence[Claim], probe: bool) -> None:
        began = time.monotonic()
        reports = await ask(
            self.name, self._sink, claims, deadline=self._policy.deadline, stopping=lambda: self._stopping
        )
        duration = timedelta(seconds=time.monotonic() - began)
        before = self.lane
        attempted = [
            self._judged(claim, report, duration, probe=probe) for claim, report in zip(claims, reports, strict=True)
        ]
        self._recorder.add(attempted, before, self.lane)

    def _judged(self, claim: Claim, report: Report, duration: timedelta, *, probe: bool) -> Attempted:
        now, spread = self._store.database.clock(), random.random()
        verdict = judge(
            report.outcome, failures=claim.failures, waits=self._policy.waits, now=now, spread=spread, counts=not probe
        )
        if report.outcome is STOPPED:
            verdict = replace(verdict, due_at=now)
        else:
            self.lane = after(self.lane, report.outcome, delivery=claim.row_id, probe=probe, now=now, spread=spread)
        return Attempted(claim, report, OUTCOME_NAMES[type(report.outcome)], verdict, duration)

    def shift(self, step: timedelta) -> None:
        """After the wall clock was set: what holds the lane goes on for as long as before; wake it when all moved."""
        self.lane = shifted(self.lane, step)
        self._ready.shift(step)
        self._recorder.shift(step)

    async def stop(self, within: timedelta) -> int:
        """Start nothing more; what is under way gets so long, then is cut off; how many were."""
        self._stopping = True
        self.wake()
        # What is just being claimed is to be given back, not left to look as if it had been under way.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                while self._looking:
                    self._calm.clear()
                    await self._calm.wait()
        with suppress(StoreClosed, StoreBroken):
            await self._give_back()
        late: set[asyncio.Task[None]] = set()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=within.total_seconds())
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)
        await self._recorder.rested()
        return len(late)
