"""Store one lane's verdicts: all that came in while the last ones were being stored share one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from daemon import log
from daemon.lane import OUT_OF_ORDER, Lane, shifted
from daemon.rounds.lane_news import LaneNews
from daemon.store import Attempted, Store, StoreBroken, StoreClosed

GATHER_SECONDS = 0.01
"""Verdicts wait so long for company: nobody waits for them, and a transaction costs as much as ten of them."""

_log = log.get(__name__)


class Recorder:
    """Takes verdicts without making their senders wait; says what follows from them once they are on disk."""

    def __init__(
        self,
        sink: str,
        store: Store,
        news: LaneNews,
        *,
        on_settled: Callable[[], None],
        on_room: Callable[[], None],
        on_rest: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._store = store
        self._news = news
        self._on_settled = on_settled
        self._on_room = on_room
        self._on_rest = on_rest
        self._waiting: list[Attempted] = []
        self._unrecorded = 0
        self._lanes: tuple[Lane, Lane] | None = None
        """Before the first of those that wait, and after the last."""
        self._saved: Lane | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def unrecorded(self) -> int:
        """Deliveries that the sink has answered for, and whose verdict a crash would lose."""
        return self._unrecorded

    @property
    def busy(self) -> bool:
        """Whether anything is still to be stored."""
        return self._task is not None

    def add(self, attempted: Sequence[Attempted], before: Lane, after: Lane) -> None:
        """Store verdicts soon, and the lane as they left it."""
        self._waiting += attempted
        self._unrecorded += len(attempted)
        self._lanes = (self._lanes or (before, after))[0], after
        if self._task is None:
            self._task = asyncio.create_task(self._store_all(), name=f"record:{self._sink}")

    def shift(self, step: timedelta) -> None:
        """After the wall clock was set: what is not yet stored waits for as long as it was to."""
        self._waiting = [replace(item, verdict=item.verdict.shifted(step)) for item in self._waiting]
        if self._lanes is not None:
            before, after = self._lanes
            self._lanes = before, shifted(after, step)

    async def rested(self) -> None:
        """Wait until all that was added so far is stored."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _store_all(self) -> None:
        try:
            while self._lanes is not None:
                await asyncio.sleep(GATHER_SECONDS)
                attempted, (before, after) = self._waiting, self._lanes
                self._waiting, self._lanes = [], None
                await self._record(attempted, before, after)
                self._unrecorded -= len(attempted)
                self._on_room()
                self._log(attempted)
                await self._tell(attempted, before, after)
        except (StoreBroken, StoreClosed):
            self._waiting, self._lanes = [], None
        finally:
            self._task = None
            self._on_rest()

    async def _tell(self, attempted: Sequence[Attempted], before: Lane, after: Lane) -> None:
        try:
            await self._news.recorded(attempted, before, after)
        except (StoreBroken, StoreClosed):
            raise
        except Exception as error:  # noqa: BLE001 - what cannot be told must not keep verdicts from being stored
            _log.error("news.crashed", sink=self._sink, exc_info=error)

    async def _record(self, attempted: Sequence[Attempted], before: Lane, after: Lane) -> None:
        works_again = after.health == "ok" and before.health in OUT_OF_ORDER
        try:
            lane = None if after is self._saved else after
            settled = await self._store.deliveries.record(self._sink, attempted, lane, release=works_again)
        except (StoreBroken, StoreClosed):
            raise
        except Exception as error:  # noqa: BLE001 - one that cannot be stored must not cost the others their verdicts
            if len(attempted) > 1:
                for each in attempted:
                    await self._record([each], before, after)
            else:
                _log.error("record.crashed", sink=self._sink, exc_info=error)
            return
        self._saved = after
        if settled:
            self._on_settled()

    def _log(self, attempted: Sequence[Attempted]) -> None:
        """A line for each verdict, but one for all that arrived together: a backlog would drown the rest."""
        arrived = [item for item in attempted if item.verdict.state == "delivered"]
        if len(arrived) > 1:
            _log.info("deliveries.settled", sink=self._sink, state="delivered", count=len(arrived))
        for item in attempted:
            if len(arrived) > 1 and item.verdict.state == "delivered":
                continue
            _log.info(
                "delivery.settled" if item.verdict.state != "waiting" else "delivery.postponed",
                event_key=item.claim.delivery.event.key,
                sink=self._sink,
                state=item.verdict.state,
                attempt=item.claim.delivery.attempt,
                reason=item.verdict.reason,
            )
