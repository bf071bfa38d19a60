"""Hand one sink what is due to it, and record each verdict."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from daemon import log
from daemon.contract import Closed, Delivered, Outcome, Rejected, Report, Sink, TryLater
from daemon.lane import Lane, after, allowance, shifted
from daemon.retry import judge
from daemon.rounds.alerts import Alerts
from daemon.rounds.lane_news import LaneNews
from daemon.rounds.suspects import Suspects
from daemon.store import Attempted, Claim, Claimed, Store, StoreBroken, StoreClosed

OUTCOME_NAMES: dict[type, str] = {
    Delivered: "delivered",
    TryLater: "try_later",
    Rejected: "rejected",
    Closed: "closed",
}
CRASH_WAIT = timedelta(seconds=5)
LAST_LOOK_SECONDS = 5.0
STOPPED = TryLater("the daemon was stopped while this was under way; the receiver may have it", throttled=True)

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
        self._store = store
        self._news = LaneNews(name, alerts)
        self._suspects = suspects
        self._on_settled = on_settled
        self._under_way: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._woken.set()
        self._stopping = False
        self._looking = False
        self._calm = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def drained(self) -> bool:
        """Wait until nothing is under way and nothing more may go out now; whether there was anything to wait for."""
        waited = False
        while self._under_way or self._looking or self._woken.is_set():
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
                wait = await self._start_what_may_go()
            except (StoreClosed, StoreBroken):
                return
            except Exception as error:  # noqa: BLE001 - a lane that ended would leave its sink without a word
                _log.error("lane.crashed", sink=self.name, exc_info=error)
                wait = CRASH_WAIT
            finally:
                self._looking = False
                self._calm.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait is None else max(wait.total_seconds(), 0)):
                    await self._woken.wait()

    async def _start_what_may_go(self) -> timedelta | None:
        """Claim and start as much as may go out now; how long until that may change by itself."""
        now = self._store.database.clock()
        may = allowance(self.lane, now=now, under_way=len(self._under_way), concurrency=self._policy.concurrency)
        if self.paused or may.batches == 0:
            return None if self.paused or may.until is None else may.until - now
        batches = may.batches
        if (suspect := self._suspects.next(self.name)) is not None:
            self._start(self._send_alone(suspect, may.probe))
            batches -= 1
        if batches == 0:
            return None
        claimed, probing = await self._claim(batches * self._policy.batch_limit, probe=may.probe)
        size = 1 if may.probe else self._policy.batch_limit
        if self._stopping:
            await self._store.deliveries.unclaim(claimed.claims)
            return None
        for start in range(0, len(claimed.claims), size):
            self._start(self._send(claimed.claims[start : start + size], probing))
        await self._news.quarantined(claimed.quarantined)
        return None if claimed.next_due_at is None else claimed.next_due_at - now

    def _start(self, sending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(sending)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    async def _send_alone(self, row_id: int, probe: bool) -> None:
        """Try a delivery that an earlier process died over, or beside."""
        try:
            lease = self._policy.deadline * 2
            claimed = await self._store.deliveries.claim_suspect(self.name, row_id, lease=lease)
            if claimed.claims:
                await self._send(claimed.claims, probe)
            await self._news.quarantined(claimed.quarantined)
        finally:
            self._suspects.over()

    async def _claim(self, limit: int, *, probe: bool) -> tuple[Claimed, bool]:
        """What to send, and whether it is a probe: one that must not use up the delivery's attempts."""
        lease = self._policy.deadline * 2
        if probe:
            claimed = await self._store.deliveries.claim_probe(
                self.name, last_probed=self.lane.last_probed, lease=lease
            )
            if claimed.claims:
                return claimed, True
            limit = 1
        # The only delivery of a failing sink follows its own schedule; that of a stopped one waits for the sink.
        spared = self.lane.health == "stopped"
        return await self._store.deliveries.claim(self.name, limit=limit, lease=lease), spared

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.wake()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StoreClosed | StoreBroken):
            _log.error("delivery.crashed", sink=self.name, exc_info=error)

    async def _send(self, claims: Sequence[Claim], probe: bool) -> None:
        began = time.monotonic()
        reports = await self._reports(claims)
        duration = timedelta(seconds=time.monotonic() - began)
        before = self.lane
        attempted = [
            self._judged(claim, report, duration, probe=probe) for claim, report in zip(claims, reports, strict=True)
        ]
        lane = self.lane
        works_again = lane.health == "ok" and before.health in ("failing", "stopped")
        settled = await self._store.deliveries.record(self.name, attempted, lane, release=works_again)
        if settled:
            self._on_settled()
        await self._news.health(before, lane)
        await self._news.dead_letters(attempted)

    async def _reports(self, claims: Sequence[Claim]) -> Sequence[Report]:
        """Ask the sink; whatever it does becomes one report for each delivery."""
        seconds = self._policy.deadline.total_seconds()
        outcome: Outcome
        try:
            async with asyncio.timeout(seconds):
                reports = await self._sink.deliver_batch([claim.delivery for claim in claims])
            if [type(report) for report in reports] == [Report] * len(claims):
                return reports
            outcome = TryLater("the sink did not answer with one report for each delivery it was given")
        except TimeoutError:
            outcome = TryLater(f"no answer within {seconds:g} s; the receiver may have it")
        except asyncio.CancelledError:
            # Without a stop it is the sink's own doing, and must not be tried again without end.
            outcome = STOPPED if self._stopping else TryLater("the sink itself failed (CancelledError)")
        except Exception as error:  # noqa: BLE001 - a sink that breaks its promise must not take the lane with it
            _log.error("sink.raised", sink=self.name, exc_info=error)
            outcome = TryLater(f"the sink itself failed ({type(error).__name__})")
        return [Report(outcome)] * len(claims)

    def _judged(self, claim: Claim, report: Report, duration: timedelta, *, probe: bool) -> Attempted:
        now, spread = self._store.database.clock(), random.random()
        verdict = judge(
            report.outcome, failures=claim.failures, waits=self._policy.waits, now=now, spread=spread, counts=not probe
        )
        if report.outcome is STOPPED:
            verdict = replace(verdict, due_at=now)
        else:
            self.lane = after(self.lane, report.outcome, delivery=claim.row_id, probe=probe, now=now, spread=spread)
        event = claim.delivery.event
        _log.info(
            "delivery.settled" if verdict.state != "waiting" else "delivery.postponed",
            event_key=event.key,
            sink=self.name,
            state=verdict.state,
            attempt=claim.delivery.attempt,
            reason=verdict.reason,
        )
        return Attempted(claim, report, OUTCOME_NAMES[type(report.outcome)], verdict, duration)

    def shift(self, step: timedelta) -> None:
        """After the wall clock was set: what holds the lane goes on for as long as before; wake it when all moved."""
        self.lane = shifted(self.lane, step)

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
        if not self._under_way:
            return 0
        _, late = await asyncio.wait(self._under_way, timeout=within.total_seconds())
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=5)
        return len(late)
