"""Hand one sink what is due to it: claimed in groups, sent side by side, each verdict recorded."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.contract import Cause, Sink
from daemon.lane import OUT_OF_ORDER, Allowance, Lane, allowance, shifted
from daemon.rounds.alerts import Alerts
from daemon.rounds.attempt import Judge, ask
from daemon.rounds.lane_news import LaneNews
from daemon.rounds.looking import Looking
from daemon.rounds.policy import LanePolicy
from daemon.rounds.ready import Ready
from daemon.rounds.recorder import Recorder
from daemon.rounds.suspects import Suspects
from daemon.rounds.turnstile import Turnstile
from daemon.rounds.under_way import UnderWay
from daemon.store import Claim, Claimed, Store, StoreBroken, StoreClosed

LAST_LOOK_SECONDS = 5.0
MOST_UNRECORDED = 64
"""Deliveries that were answered and whose verdict is not on disk yet, at most: a crash repeats them (I5)."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes of a process share."""

    store: Store
    alerts: Alerts
    suspects: Suspects
    turnstile: Turnstile
    on_settled: Callable[[], None]
    """Called when a delivery needs no further attempt, and that is on disk."""


class Deliver:
    """One sink's lane: what is due goes out as soon as it may, beside all other lanes."""

    def __init__(self, name: str, sink: Sink, lane: Lane, policy: LanePolicy, shared: Shared) -> None:
        self.name = name
        self.lane = lane
        self.paused = False
        self._sink = sink
        self._policy = policy
        self.lease = policy.deadline * 2
        self._store = store = shared.store
        self._looking = Looking(name, self._look)
        self.news = LaneNews(name, shared.alerts)
        self._recorder = Recorder(
            name, store, self.news, on_settled=shared.on_settled, on_room=self._send_more, on_rest=self._looking.rest
        )
        self._suspects = shared.suspects
        self.turn = shared.turnstile.join(sink.paces, self.wake)
        self._ready = Ready(policy.concurrency * policy.batch_limit, policy.deadline, store.database.clock())
        self._under_way = UnderWay(name, self._ended)

    def wake(self) -> None:
        """Something may be due."""
        self._looking.wake()

    async def run(self) -> None:
        """Send what is due, until stopped."""
        await self._looking.run()

    async def drained(self) -> bool:
        """Wait until nothing is under way and nothing more may go out now; whether there was anything to wait for."""
        return await self._looking.wait_while(
            lambda: bool(self._under_way) or self._looking.busy or self._recorder.busy or self.turn.pausing
        )

    async def _look(self) -> timedelta | None:
        """Start and claim what may go out now; how long until that may change by itself."""
        now = self._store.database.clock()
        quiet_until = self._policy.quiet_until(now)
        wait = await self._start_and_claim(now)
        if quiet_until is None:
            return wait
        return quiet_until - now if wait is None else min(wait, quiet_until - now)

    async def _start_and_claim(self, now: datetime) -> timedelta | None:
        self.turn.pausing = False
        may = self._allowance(now)
        if self._ready and (not may.flows or self._ready.stale(now)):
            await self._give_back()
        if may.flows:
            return None if self._send_ready() else await self._claim_ahead(now)
        if may.batches == 0:
            return None if may.until is None else may.until - now
        if (suspect := self._suspect(now)) is not None:
            self._start(self._send_alone(suspect, may.probe))
            return None
        return await self._probe(now)

    def _allowance(self, now: datetime) -> Allowance:
        if self.paused or self._looking.stopping or self._store.database.disk_full:
            return Allowance(0)
        may = allowance(self.lane, now=now, under_way=len(self._under_way), concurrency=self._policy.concurrency)
        return self.turn.narrowed(may, now)

    def _suspect(self, now: datetime) -> int | None:
        return None if self._policy.quiet_until(now) else self._suspects.next(self.name)

    async def _claim(self, limit: int) -> Claimed:
        return await self._store.deliveries.claim(
            self.name, limit=limit, lease=self.lease, gathering=self._policy.gathering
        )

    def _send_ready(self) -> bool:
        """Use every free slot; a suspect goes first. Whether enough is ready for those to come."""
        now = self._store.database.clock()
        may = self._allowance(now)
        slots = may.batches if may.flows and self._recorder.unrecorded < MOST_UNRECORDED else 0
        if slots and (suspect := self._suspect(now)) is not None:
            self._start(self._send_alone(suspect, probe=False))
            slots -= 1
        while slots and self._ready and not self._ready.stale(now):
            self._start(self._send(self._ready.take(self._policy.batch_limit), probe=False))
            slots -= 1
        return may.flows and self._ready.enough(now)

    async def _claim_ahead(self, now: datetime) -> timedelta | None:
        """Claim for the free slots, and beyond them as much as goes out soon."""
        free = self._allowance(now).batches * self._policy.batch_limit
        # What people get is counted when it is claimed, and they read slowly: nothing is claimed ahead for them.
        room = self._ready.room(free, now) if self._policy.gathering is None else free - len(self._ready)
        if room <= 0:
            return None
        claimed = await self._claim(room)
        if claimed.cause is not None:
            return await self._begin(claimed, now, probe=False)
        more_waits = len(claimed.claims) + claimed.quarantined == room
        self._ready.put(claimed.claims, now, more_waits=more_waits)
        self._send_ready()
        await self.news.quarantined(claimed.quarantined)
        if self._ready and (until := self._allowance(now).until) is not None:
            return until - now  # held meanwhile, perhaps by what another lane was told
        return None if more_waits or claimed.next_due_at is None else claimed.next_due_at - now

    async def _give_back(self) -> None:
        await self._store.deliveries.unclaim(self.name, self._ready.take(len(self._ready)))

    def _start(self, sending: Coroutine[None, None, None]) -> asyncio.Task[None]:
        self.turn.enter()
        return self._under_way.start(sending)

    def _ended(self) -> None:
        self.turn.leave()
        self._send_more()

    def _send_more(self) -> None:
        if not self._send_ready():
            self.wake()

    async def _send_alone(self, row_id: int, probe: bool) -> None:
        """Try a delivery that an earlier process died over, or beside."""
        try:
            claimed = await self._store.deliveries.claim_suspect(self.name, row_id, lease=self.lease)
            self._suspects.taken({claim.row_id for claim in claimed.claims})
            if claimed.claims:
                await self._send(claimed.claims, probe, claimed.cause)
                await self._recorder.rested()
            await self.news.quarantined(claimed.quarantined)
        finally:
            self._suspects.over()

    async def send_apart(self, claims: Sequence[Claim]) -> None:
        """Send what was claimed for somebody who waits for the verdict, whatever state the lane is in."""
        await asyncio.wait([self._start(self._send(claims, probe=self.lane.health in OUT_OF_ORDER))])
        await self._recorder.rested()

    async def _probe(self, now: datetime) -> timedelta | None:
        """Try a single message, so that it does not use up the attempts of all."""
        claimed = Claimed((), None)
        if not self._policy.quiet_until(now):
            claimed = await self._store.deliveries.claim_probe(
                self.name, last_probed=self.lane.last_probed, lease=self.lease
            )
        spared = True
        if not claimed.claims:
            # The only message for a failing sink follows its own schedule; that for a stopped one waits for the sink.
            spared = self.lane.health == "stopped"
            claimed = await self._claim(1)
        return await self._begin(claimed, now, probe=spared)

    async def _begin(self, claimed: Claimed, now: datetime, *, probe: bool) -> timedelta | None:
        """Send what was claimed as one message; how long until something more falls due."""
        may = self._allowance(now)
        if not may.batches:  # stopped meanwhile, or another lane was first at the turnstile
            await self._store.deliveries.unclaim(self.name, claimed.claims, claimed.cause)
            return None if may.until is None else may.until - now
        if claimed.claims:
            self._start(self._send(claimed.claims, probe, claimed.cause))
        await self.news.quarantined(claimed.quarantined)
        return None if claimed.next_due_at is None else claimed.next_due_at - now

    async def _send(self, claims: Sequence[Claim], probe: bool, cause: Cause | None = None) -> None:
        await self.turn.spend()
        began = time.monotonic()
        reports = await ask(
            self.name,
            self._sink,
            claims,
            cause,
            deadline=self._policy.deadline,
            stopping=lambda: self._looking.stopping,
        )
        duration = timedelta(seconds=time.monotonic() - began)
        await self.turn.obey(reports, duration)
        judge = Judge(self._policy.waits, self._store.database.clock(), random.random, probe=probe)
        before = self.lane
        if cause is None:
            attempted, self.lane = judge.of_each(claims, reports, before, duration)
        else:
            attempted, self.lane = judge.of_summary(claims, reports[0], before, duration)
        self._recorder.add(attempted, before, self.lane)

    def shift(self, step: timedelta) -> None:
        """After the wall clock was set: what holds the lane goes on for as long as before; wake it when all moved."""
        self.lane = shifted(self.lane, step)
        self._ready.shift(step)
        self._recorder.shift(step)

    async def stop(self, within: timedelta) -> int:
        """Start nothing more; what is under way gets so long, then is cut off; how many were."""
        self._looking.stop()
        # What is just being claimed is to be given back, not left to look as if it had been under way.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                await self._looking.wait_while(lambda: self._looking.under_way)
        with suppress(StoreClosed, StoreBroken):
            await self._give_back()
        cut_off = await self._under_way.end(within)
        await self._recorder.rested()
        return cut_off
