"""Lets messages through that count against shared limits: one at a time where there is a rate, and none too early."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from daemon.contract import Pace, Report
from daemon.lane import Allowance
from daemon.store import Store

HEAD_START = timedelta(seconds=0.1)
"""Whoever sent last lets those that share the limit go first."""
MOMENT = timedelta(seconds=10)
"""A pause that a single round, as cron has it, waits for."""


class Turnstile:
    """One for all lanes of the process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns: list[Turn] = []

    def join(self, paces: Sequence[Pace], wake: Callable[[], None]) -> "Turn":
        """A lane's own place; `wake` is called when it may be its turn."""
        turn = Turn(self._store, paces, wake)
        for other in self._turns:
            if turn.rated & other.rated:
                turn.others.append(other)
                other.others.append(turn)
        self._turns.append(turn)
        return turn


class Turn:
    """One lane's place at the turnstile. A sink without paces walks past it."""

    def __init__(self, store: Store, paces: Sequence[Pace], wake: Callable[[], None]) -> None:
        self._store = store
        self._paces = tuple(paces)
        self._wake = wake
        self._under_way = 0
        self._was_last = False
        self.rated = {pace.name for pace in paces if pace.messages is not None}
        self.others: list[Turn] = []
        """Those that share a rate with this one."""
        self.pausing = False
        """Turned away for a moment only, as between two messages of a backlog."""

    def narrowed(self, may: Allowance, now: datetime) -> Allowance:
        """What of all that its lane allows may go out now."""
        if not self._paces or not may.batches:
            return may
        if self.rated and any(turn._under_way for turn in (self, *self.others)):
            return replace(may, batches=0)
        opens_at = self._free_at()
        if self._was_last and self.others:
            opens_at += HEAD_START
        if opens_at > now:
            self.pausing = opens_at - now <= MOMENT
            return Allowance(0, until=opens_at)
        return replace(may, batches=1) if self.rated else may

    def held(self) -> datetime | None:
        """Until when nothing goes out; None where it may at once."""
        free_at = self._free_at()
        return free_at if free_at > self._store.database.clock() else None

    def _free_at(self) -> datetime:
        return self._store.paces.free_at(self._paces)

    def enter(self) -> None:
        """A message is on its way to be sent."""
        self._under_way += 1

    def leave(self) -> None:
        """It is through."""
        self._under_way -= 1
        for other in self.others:
            other._wake()

    async def spend(self) -> None:
        """Count the message, durably, before it goes out."""
        if not self.rated:
            return
        self._was_last = True
        for other in self.others:
            other._was_last = False
        await self._store.paces.spend(self._paces)

    async def obey(self, reports: Sequence[Report], took: timedelta) -> None:
        """Hold what answers ask to be held, durably, before anything else goes out; count what went out beside."""
        if not self._paces:
            return
        self._store.paces.lengthen(self._paces, took)
        holds: dict[str, timedelta] = {}
        for report in reports:
            for name, wait in report.holds.items():
                holds[name] = max(wait, holds.get(name, wait))
        await self._store.paces.hold(holds)
        if (messages := len({report.body for report in reports if report.body})) > 1:
            await self._store.paces.spend(self._paces, messages - 1)
