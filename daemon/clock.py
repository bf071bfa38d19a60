"""Where time comes from: one clock that runs evenly even when somebody sets the wall clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Answers the present as an aware UTC datetime."""

STEP = timedelta(seconds=2)
"""A wall clock that is this far off was set, not drifting."""


def _even_seconds() -> float:
    """Seconds that never step and, on Linux, go on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def wall_now() -> datetime:
    """The wall clock, as aware UTC."""
    return datetime.now(UTC)


class SteadyClock:
    """UTC time that advances with the monotonic clock.

    Due times are stored as UTC. Were they compared with the wall clock, setting it would make
    waits end early or never. So time is counted from an anchor; `resync` follows slow drift at
    once and reports a step, which its caller applies to everything that waits.
    """

    def __init__(self, wall: Clock = wall_now, even_seconds: Callable[[], float] = _even_seconds) -> None:
        self._wall = wall
        self._even_seconds = even_seconds
        # One value, since threads read the clock while it is set.
        self._anchor = wall(), even_seconds()

    def __call__(self) -> datetime:
        """Answer the present, never stepping."""
        moment, seconds = self._anchor
        return moment + timedelta(seconds=self._even_seconds() - seconds)

    def resync(self) -> timedelta | None:
        """Follow the wall clock; the size of the step if it was set, else None."""
        off = self._wall() - self()
        self._anchor = self._wall(), self._even_seconds()
        return off if abs(off) > STEP else None
