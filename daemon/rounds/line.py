"""What the rounds of one source share."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from daemon.contract import Access, Source
from daemon.upstream import Upstream, to_json

TOKEN_LOOK = timedelta(seconds=30)
"""While the token is refused: how often it is looked up again, to ask at once when it is another."""


@dataclass(slots=True)
class Line:
    """One source, as its two rounds know it."""

    source: Source
    name: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """No completion during a sweep: it would move later pages forward, and events would be skipped."""
    crowded_rows: int = 0
    """Rows of the largest page that looked full; 0 if none did, or if the sweep saw the whole list all the same."""
    more_waits: bool = False
    """Full pages brought something new and the end was not seen: sweep again as soon as some of it is completed."""
    health: dict[str, Upstream] = field(default_factory=dict)
    """By kind of access, "read" and "write"."""
    not_before: dict[str, datetime] = field(default_factory=dict)
    """After trouble, by kind of access: nothing is asked before, however often its round is hastened."""

    def hold_back(self, access: Access, wait: timedelta, now: datetime) -> timedelta:
        """Ask nothing for so long; how long until there is something to look at, be it only the token."""
        self.not_before[access] = now + wait
        return self._until_look(access, wait)

    def held_back(self, access: Access, now: datetime) -> timedelta | None:
        """How long to wait on, None: ask now. A token that was changed is tried at once."""
        not_before = self.not_before.get(access)
        if not_before is None or now >= not_before:
            return None
        if self.health[access].health == "refused" and self.source.credentials_changed():
            self.not_before.clear()
            return None
        return self._until_look(access, not_before - now)

    def _until_look(self, access: Access, wait: timedelta) -> timedelta:
        return min(wait, TOKEN_LOOK) if self.health[access].health == "refused" else wait

    def shift(self, step: timedelta) -> None:
        """After the wall clock was set: what is held back stays so for as long as before."""
        self.not_before = {access: moment + step for access, moment in self.not_before.items()}

    def stored_health(self) -> dict[str, object]:
        """For the store."""
        return {access: to_json(upstream) for access, upstream in self.health.items()}

    def troubles(self) -> list[str]:
        """What is wrong now, one sentence each."""
        return [upstream.reason for upstream in self.health.values() if upstream.health != "ok"]
