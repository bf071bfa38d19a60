"""Deliveries that an earlier process died over, or beside: one of them at a time in the whole process.

An event that kills us is found by its third death. Whatever was under way beside it died with it
and is suspected as well, but never goes out together with another suspect again: so the innocent
ones clear themselves, and only the culprit can collect three deaths. The more deaths, the longer a
suspect waits after a start: everything else flows first, and whoever kills the process again and
again from outside, soon after each start, does not hit the same one each time.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from daemon.store import Suspect

WAIT_SECONDS = {1: 1.0, 2: 5.0}
"""After the start, by number of deaths of the event; beyond, it is given up without being sent."""
SLOW_SECONDS = 2.0
"""A sink that took so long over a suspect lets those of other sinks go first."""
OTHERS_FIRST_SECONDS = 1.0
"""So long the better ones are waited for: whichever sink has not asked by then is not able to."""


class Suspects:
    """Who may be tried now."""

    def __init__(self, suspects: Sequence[Suspect], wake: Callable[[Collection[str]], None]) -> None:
        self._waiting = list(suspects)
        self._wake = wake
        self._trying: str | None = None
        self._slow: set[str] = set()
        self._began = self._changed = time.monotonic()
        for deaths in {suspect.event_deaths for suspect in suspects}:
            asyncio.get_running_loop().call_later(WAIT_SECONDS.get(deaths, 0.0) + 0.01, self._look_again)

    def hurry(self) -> None:
        """A single round, as cron has it, cannot wait."""
        self._began = float("-inf")

    def next(self, sink: str) -> int | None:
        """A suspect of this sink, which is then tried until `over`; None while another one is, or had better be."""
        if self._trying or not self._waiting:
            return None
        now = time.monotonic()
        ripe = [each for each in self._waiting if now - self._began >= WAIT_SECONDS.get(each.event_deaths, 0.0)]
        mine = min((each for each in ripe if each.sink == sink), key=self._rank, default=None)
        if mine is None:
            return None
        better = any(self._rank(each) < self._rank(mine) for each in ripe)
        if better and now < self._changed + OTHERS_FIRST_SECONDS:
            return None
        self._waiting.remove(mine)
        self._trying, self._changed = sink, now
        return mine.row_id

    def taken(self, row_ids: Collection[int]) -> None:
        """These go out with the one that is tried: all were one message."""
        self._waiting = [suspect for suspect in self._waiting if suspect.row_id not in row_ids]

    def _rank(self, suspect: Suspect) -> tuple[bool, int]:
        """Who is least likely to kill us, or to keep us waiting, goes first: so the innocent are cleared in time."""
        return suspect.sink in self._slow, suspect.deaths

    def over(self) -> None:
        """The one that was tried has its verdict: the next may go, whichever sink it is for."""
        if self._trying and time.monotonic() - self._changed > SLOW_SECONDS:
            self._slow.add(self._trying)
        self._trying = None
        self._look_again()

    def _look_again(self) -> None:
        self._changed = time.monotonic()
        self._wake_waiting()
        if self._waiting:
            asyncio.get_running_loop().call_later(OTHERS_FIRST_SECONDS + 0.01, self._wake_waiting)

    def _wake_waiting(self) -> None:
        self._wake({suspect.sink for suspect in self._waiting})
