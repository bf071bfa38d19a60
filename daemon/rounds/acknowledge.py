"""Tell a source which of its events are done with."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta

from daemon import log
from daemon.contract import SourceRefused, SourceTrouble, SourceUnavailable
from daemon.rounds.alerts import Alerts
from daemon.rounds.line import Line
from daemon.store import Acknowledgeable, Store
from daemon.upstream import after_success, after_trouble, next_try

BATCH = 100
CROWDED_SHARE = 0.6
"""When events held back make up this share of a full page, newer ones could be hidden behind them."""
SHORTEST_WAIT = timedelta(seconds=1)
REFUSALS_IN_A_ROW = 8
"""So many single ids refused without one accepted: then it is not the ids."""

_log = log.get(__name__)


class Acknowledge:
    """The round that marks events complete upstream."""

    def __init__(
        self, line: Line, store: Store, alerts: Alerts, *, hold: timedelta, on_progress: Callable[[], None]
    ) -> None:
        self._line = line
        self._store = store
        self._alerts = alerts
        self._hold = hold
        self._on_progress = on_progress
        self._batch = BATCH
        self._refusals = 0

    async def __call__(self) -> timedelta | None:
        """Complete all that is due; how long until there may be more, None if nothing is held."""
        if (wait := self._line.held_back("write", self._store.database.clock())) is not None:
            return wait
        completed, more = 0, True
        try:
            # Only full batches are followed at once: what is settled meanwhile is gathered again.
            while more:
                async with self._line.lock:
                    due = await self._due()
                    more = len(due.external_ids) >= self._batch
                    if due.external_ids:
                        await self._complete(due.external_ids)
                completed += len(due.external_ids)
            if completed:
                due = await self._due()
        except SourceTrouble as trouble:
            return await self._troubled(trouble)
        if completed:
            await self._went_well()
        elif due.next_due_at is None:
            # Nothing is left that could be refused, so there is no trouble either.
            await self._recovered()
        if due.external_ids:
            return SHORTEST_WAIT
        if due.next_due_at is None:
            return None
        return max(due.next_due_at - self._store.database.clock(), SHORTEST_WAIT)

    async def _due(self) -> Acknowledgeable:
        name = self._line.name
        due = await self._store.acknowledgements.due(name, hold=self._hold, limit=self._batch)
        crowded = self._line.crowded_rows
        if not due.external_ids and crowded and due.held >= CROWDED_SHARE * crowded:
            due = await self._store.acknowledgements.due(name, hold=timedelta(), limit=self._batch)
        return due

    async def _complete(self, external_ids: Sequence[str]) -> None:
        """One request for all; what is refused as a whole is halved until the id to blame is alone."""
        ledger, name = self._store.acknowledgements, self._line.name
        try:
            refusal = await self._line.source.acknowledge(external_ids)
        except SourceUnavailable as trouble:
            await ledger.unclear(name, external_ids, str(trouble))
            raise
        if refusal is None:
            self._refusals = 0
            await ledger.done(name, external_ids)
            _log.info("events.acknowledged", source=name, count=len(external_ids))
            return
        if len(external_ids) == 1:
            self._refusals += 1
            if refusal.too_large or self._refusals > REFUSALS_IN_A_ROW:
                self._refusals = 0
                raise SourceUnavailable(f"{name} refuses every completion ({refusal.reason})")
            await ledger.refused(name, external_ids[0], refusal.reason)
            _log.warning("event.completion_refused", source=name, external_id=external_ids[0], reason=refusal.reason)
            return
        middle = len(external_ids) // 2
        if refusal.too_large:
            self._batch = max(1, middle)
        await self._complete(external_ids[:middle])
        await self._complete(external_ids[middle:])

    async def _went_well(self) -> None:
        await self._recovered()
        name = self._line.name
        await self._alerts.over("alert.completion", name, f"{name} takes completions again.")
        if self._line.more_waits:
            self._line.more_waits = False
            self._on_progress()

    async def _recovered(self) -> None:
        before, name = self._line.health["write"], self._line.name
        self._line.health["write"] = after_success(before, now=self._store.database.clock())
        if before.health != "ok":
            _log.info("source.completing_recovered", source=name)
            await self._store.sources.save(name, self._line.stored_health(), swept=False)

    async def _troubled(self, trouble: SourceTrouble) -> timedelta:
        before, name = self._line.health["write"], self._line.name
        now = self._store.database.clock()
        self._line.health["write"] = after = after_trouble(before, trouble, now=now)
        if after.health != before.health:
            _log.warning(f"source.completing_{after.health}", source=name, reason=str(trouble))
        wait = self._line.hold_back("write", next_try(after, trouble, now=now, spread=random.random()), now)
        if isinstance(trouble, SourceRefused) and self._line.health["read"].health != "refused":
            what = f"{name}: {str(trouble).rstrip('. ')}. Polling and delivery go on."
            text = f"{what} {self._alerts.advice(name, str(trouble))}"
            await self._alerts.tell("alert.completion", name, text, turn="refused")
        await self._store.sources.save(name, self._line.stored_health(), swept=False)
        return wait
