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
"""After the start, by number of deaths; beyond, it is given up without being sent."""


class Suspects:
    """Who may be tried now."""

    def __init__(self, suspects: Sequence[Suspect], wake: Callable[[Collection[str]], None]) -> None:
        self._waiting = list(suspects)
        self._wake = wake
        self._trying = False
        self._began = time.monotonic()
        for deaths in {suspect.deaths for suspect in suspects}:
            asyncio.get_running_loop().call_later(WAIT_SECONDS.get(deaths, 0.0) + 0.01, self._wake_waiting)

    def hurry(self) -> None:
        """A single round, as cron has it, cannot wait."""
        self._began = float("-inf")

    def next(self, sink: str) -> int | None:
        """A suspect of this sink, which is then being tried until `over`; None while another one is."""
        if self._trying:
            return None
        age = time.monotonic() - self._began
        for suspect in self._waiting:
            if suspect.sink == sink and age >= WAIT_SECONDS.get(suspect.deaths, 0.0):
                self._waiting.remove(suspect)
                self._trying = True
                return suspect.row_id
        return None

    def over(self) -> None:
        """The one that was tried has its verdict: the next may go, whichever sink it is for."""
        self._trying = False
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        self._wake({suspect.sink for suspect in self._waiting})
