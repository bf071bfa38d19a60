"""Bring what is new at one source into the store."""

import random
import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from daemon import log
from daemon.contract import Event, Page, SourceRefused, SourceTrouble
from daemon.rounds.alerts import Alerts
from daemon.rounds.line import Line
from daemon.store import Added, Planned, SourceMemory, Store
from daemon.upstream import Polling, after_sweep, after_trouble, from_json, next_sweep, next_try

ELSEWHERE_REPEATS = 3

_log = log.get(__name__)


@dataclass(slots=True)
class _Sweep:
    began_at: datetime
    listed: set[str] = field(default_factory=set)
    new: int = 0
    whole: bool = False


class Collect:
    """The round that asks one source for what is new."""

    def __init__(
        self,
        line: Line,
        store: Store,
        alerts: Alerts,
        *,
        polling: Polling,
        memory: SourceMemory,
        first_start: Literal["send", "record"],
        route: Callable[[Event], tuple[str, ...]],
        is_expected: Callable[[str], bool],
        wake: Callable[[Collection[str]], None],
        on_swept: Callable[[], None],
    ) -> None:
        self._line = line
        self._store = store
        self._alerts = alerts
        self._polling = polling
        self._first = memory.first
        self._record_only = memory.first and first_start == "record"
        self._route = route
        self._is_expected = is_expected
        self._wake = wake
        self._on_swept = on_swept
        self._elsewhere = 0
        self._late: set[str] = set()
        """Sinks that wait for the end of a first sweep, so that all that is old comes as one message."""
        now = store.database.clock()
        for access in ("read", "write"):
            line.health[access] = from_json(memory.health.get(access), now)

    async def __call__(self) -> timedelta:
        """One sweep over all pages; how long to wait for the next."""
        if (wait := self._line.held_back("read", self._store.database.clock())) is not None:
            return wait
        try:
            async with self._line.lock:
                sweep = await self._sweep()
        except SourceTrouble as trouble:
            return await self._troubled(trouble)
        finally:
            self._wake(self._late)
            self._late.clear()
            # What waits for nobody's delivery, or came back, is settled already: no lane will say so.
            self._on_swept()
        return await self._swept(sweep)

    async def _sweep(self) -> _Sweep:
        sweep = _Sweep(self._store.database.clock())
        self._line.crowded_rows = 0
        cursor = await self._store.sources.cursor(self._line.name)
        async for page in self._line.source.fetch(cursor):
            added = await self._add(page)
            sweep.listed.update(item.event.external_id for item in page.events)
            sweep.new += len(added.new)
            sweep.whole = page.last
            if page.crowded:
                self._line.crowded_rows = max(self._line.crowded_rows, len(page.events))
                self._line.more_waits |= bool(added.new)
        if sweep.whole:
            self._line.crowded_rows, self._line.more_waits = 0, False
            gone = await self._store.acknowledgements.gone(
                self._line.name, listed=sweep.listed, stored_before=sweep.began_at
            )
            await self._report_gone(gone)
        return sweep

    async def _add(self, page: Page) -> Added:
        planned = [
            Planned(item, self._route(item.event), skip=self._record_only, first=self._first) for item in page.events
        ]
        added = await self._store.events.add(self._line.name, planned, aside=page.unidentified, cursor=page.cursor)
        self._wake(added.woken)
        self._late |= added.late
        if added.new:
            _log.info("events.stored", source=self._line.name, count=len(added.new))
        await self._report(added)
        return added

    async def _report(self, added: Added) -> None:
        name = self._line.name
        see = self._alerts.command
        if number := added.unidentified:
            what, sale, stay = (
                ("an event", "a sale", "It stays") if number == 1 else (f"{number} events", "sales", "They stay")
            )
            await self._alerts.tell(
                "alert.unidentified",
                name,
                f"{name} listed {what} without a usable id, which cannot be delivered and may be {sale}. "
                f"{stay} listed upstream. See: {see('events --unidentified')}",
            )
        for kind in {event.kind for event in added.unrouted if not self._is_expected(event.kind)}:
            await self._alerts.tell(
                "alert.unrouted",
                kind,
                f'No sink wants events of the trigger "{kind}". They are stored and completed, and can be replayed. '
                f"See: {see('events --state unrouted')}",
                again_after=None,
            )
        for event in added.changed:
            _log.warning("event.changed", event_key=event.key)
        if added.returned:
            await self._alerts.tell(
                "alert.returned",
                name,
                f"{name} lists events again although they were completed. They are completed again, ever more slowly, "
                f"and not sent again. See one: {see(f'show {shlex.quote(added.returned[0])}')}",
            )

    async def _report_gone(self, gone: int) -> None:
        if not gone:
            return
        self._elsewhere += 1
        _log.warning("events.completed_elsewhere", source=self._line.name, count=gone)
        if self._elsewhere >= ELSEWHERE_REPEATS:
            await self._alerts.tell(
                "alert.completed_elsewhere",
                self._line.name,
                f"Somebody else completes events of {self._line.name}: is an old server still running?",
            )

    async def _swept(self, sweep: _Sweep) -> timedelta:
        name, before = self._line.name, self._line.health["read"]
        now = self._store.database.clock()
        self._line.health["read"] = after = after_sweep(before, new=sweep.new, polling=self._polling, now=now)
        if before.health != "ok":
            _log.info("source.recovered", source=name, after=str(now - before.since))
        await self._alerts.over("alert.source", name, f"{name} answers again.")
        if self._first:
            _log.info("source.first_sweep", source=name, waited=sweep.new, sent=not self._record_only)
        self._first = False
        # A server that ignores paging shows what already waited only bit by bit.
        self._record_only = self._record_only and self._line.more_waits
        await self._store.sources.save(name, self._line.stored_health(), swept=True)
        return next_sweep(after, polling=self._polling, spread=random.random())

    async def _troubled(self, trouble: SourceTrouble) -> timedelta:
        name, before = self._line.name, self._line.health["read"]
        now = self._store.database.clock()
        self._line.health["read"] = after = after_trouble(before, trouble, now=now)
        if after.health != before.health:
            _log.warning(f"source.{after.health}", source=name, reason=str(trouble))
        wait = self._line.hold_back("read", next_try(after, trouble, now=now, spread=random.random()), now)
        if isinstance(trouble, SourceRefused):
            text = f"{name}: {str(trouble).rstrip('. ')}. {self._alerts.advice(name, str(trouble))}"
            await self._alerts.tell("alert.source", name, text, turn="refused")
        await self._store.sources.save(name, self._line.stored_health(), swept=False)
        return wait
