"""What the rounds of one source share."""

import asyncio
from dataclasses import dataclass, field

from daemon.contract import Source
from daemon.upstream import Upstream, to_json


@dataclass(slots=True)
class Line:
    """One source, as its two rounds know it."""

    source: Source
    name: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """No completion during a sweep: it would move later pages forward, and events would be skipped."""
    crowded_rows: int = 0
    """Rows of the last page that looked full, 0 if none did."""
    more_waits: bool = False
    """The last sweep brought full pages: worth another one as soon as some of it was completed."""
    health: dict[str, Upstream] = field(default_factory=dict)
    """By kind of access, "read" and "write"."""

    def stored_health(self) -> dict[str, object]:
        """For the store."""
        return {access: to_json(upstream) for access, upstream in self.health.items()}

    def troubles(self) -> list[str]:
        """What is wrong now, one sentence each."""
        return [upstream.reason for upstream in self.health.values() if upstream.health != "ok"]
