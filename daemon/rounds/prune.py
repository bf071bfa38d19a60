"""Forget what is old and settled, and give up what has waited for too long."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from daemon import log
from daemon.rounds.lane_news import LaneNews
from daemon.store import Store

EVERY = timedelta(hours=1)
STEP = 1000
"""Events a transaction; measured to hold the writer for some ten milliseconds."""
BREATH_SECONDS = 0.05

_log = log.get(__name__)


class Prune:
    """The hourly round of the housekeeper."""

    def __init__(
        self, store: Store, news: Mapping[str, LaneNews], *, keep: timedelta, give_up_after: Mapping[str, timedelta]
    ) -> None:
        """`news` and `give_up_after` by sink."""
        self._store = store
        self._news = news
        self._keep = keep
        self._give_up_after = give_up_after
        self.suspended = False
        """The wall clock was set by more than a day: until a restart nothing counts as old."""

    async def __call__(self) -> timedelta:
        """Remove and give up, in small steps."""
        if self.suspended:
            return EVERY
        for sink, after in self._give_up_after.items():
            await self._give_up(sink, after)
        removed, next_id = 0, 0
        while True:
            pruned = await self._store.pruning.step(keep=self._keep, from_id=next_id, limit=STEP)
            removed += pruned.removed
            if pruned.next_id is None:
                break
            next_id = pruned.next_id
            await asyncio.sleep(BREATH_SECONDS)
        await self._store.pruning.remnants(keep=self._keep)
        if removed:
            _log.info("events.pruned", count=removed)
        return EVERY

    async def _give_up(self, sink: str, after: timedelta) -> None:
        total = 0
        while number := await self._store.pruning.give_up_waiting(sink, after=after, limit=STEP):
            total += number
            await asyncio.sleep(BREATH_SECONDS)
        if total:
            _log.warning("deliveries.given_up", sink=sink, count=total)
            await self._news[sink].died()
