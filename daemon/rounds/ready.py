"""What one lane has claimed and not sent yet: as much as goes out soon; a fast sink must not wait for the disk."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from daemon.store import Claim

MOST_AHEAD = 128
"""Deliveries claimed before there is room to send them, at most: beyond, larger groups save nothing."""
SOON = timedelta(seconds=0.5)
"""What is claimed ahead is meant to be sent within about this time."""


class Ready:
    """Grows with a sink that is fast, shrinks with one that is not."""

    def __init__(self, at_once: int, deadline: timedelta, now: datetime) -> None:
        self._at_once = at_once
        self._deadline = deadline
        self._claims: deque[Claim] = deque()
        self._ahead = 0
        self._claimed_at = now
        self._more_waits = False

    def __len__(self) -> int:
        return len(self._claims)

    def enough(self, now: datetime) -> bool:
        """Whether those that are sent next need not be claimed first."""
        return len(self._claims) > self._ahead // 2 and not self.stale(now)

    def stale(self, now: datetime) -> bool:
        """What is sent later than this may not have its verdict before its lease ends."""
        return bool(self._claims) and now - self._claims[0].claimed_at > self._deadline

    def room(self, free: int, now: datetime) -> int:
        """How many to claim, with so many that can be sent at once."""
        if self._more_waits and now - self._claimed_at <= SOON:
            most = max(self._at_once, MOST_AHEAD // self._at_once * self._at_once)
            self._ahead = min(max(self._at_once, self._ahead * 2), most)
        else:
            self._ahead //= 2
        return free + self._ahead - len(self._claims)

    def put(self, claims: Sequence[Claim], now: datetime, *, more_waits: bool) -> None:
        """Take in what was claimed; `more_waits`: there was as much as was asked for."""
        self._claims.extend(claims)
        self._claimed_at, self._more_waits = now, more_waits

    def take(self, most: int) -> list[Claim]:
        """Hand out the next ones, to be sent together."""
        return [self._claims.popleft() for _ in range(min(most, len(self._claims)))]

    def shift(self, step: timedelta) -> None:
        """After the wall clock was set: what was claimed is as old as before."""
        self._claims = deque(replace(claim, claimed_at=claim.claimed_at + step) for claim in self._claims)
