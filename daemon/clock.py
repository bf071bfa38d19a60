"""Where time comes from: one clock that runs evenly even when somebody sets the wall clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Answers the present as an aware UTC datetime."""

STEP = timedelta(seconds=0.5)
"""A wall clock that is this far off was set."""
FOLLOWED = timedelta(milliseconds=1)
"""What is less is followed by so much at a time: many small steps add up to one that is told."""
LOOK_SECONDS = 0.05


def even_seconds() -> float:
    """Seconds that never step and, on Linux, go on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def wall_now() -> datetime:
    """The wall clock, as aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Time counted from one look at the wall clock. It never steps."""

    moment: datetime
    seconds: float
    even_seconds: Callable[[], float]

    def __call__(self) -> datetime:
        """Answer the present."""
        return self.moment + timedelta(seconds=self.even_seconds() - self.seconds)


class SteadyClock:
    """UTC time that advances with the monotonic clock.

    Due times are stored as UTC. Were they compared with the wall clock, setting it would make
    waits end early or never. So time is reckoned from one look at it; `resync` reports a step,
    which its caller applies to everything that waits.
    """

    def __init__(self, wall: Clock = wall_now, even_seconds: Callable[[], float] = even_seconds) -> None:
        self._wall = wall
        self._even_seconds = even_seconds
        # One value, since threads read the clock while it is set.
        self.reckoning = self._look()

    def __call__(self) -> datetime:
        """Answer the present, never stepping."""
        return self.reckoning()

    def resync(self) -> timedelta | None:
        """Follow the wall clock; the size of the step if it was set, else None."""
        look, now = self._look(), self.reckoning
        reckoned = now.moment + timedelta(seconds=look.seconds - now.seconds)
        off = look.moment - reckoned
        if abs(off) > STEP:
            self.reckoning = look
            return off
        self.reckoning = Reckoning(reckoned + max(-FOLLOWED, min(off, FOLLOWED)), look.seconds, self._even_seconds)
        return None

    def _look(self) -> Reckoning:
        """Both clocks at one moment: were we stopped between them, it would look like a step."""
        while True:
            before, moment, seconds = self._even_seconds(), self._wall(), self._even_seconds()
            if seconds - before < LOOK_SECONDS:
                return Reckoning(moment, seconds, self._even_seconds)


def as_of_now(clock: Clock) -> Clock:
    """The clock, deaf to steps to come: what was decided before a step is stored in the time before it."""
    return clock.reckoning if isinstance(clock, SteadyClock) else clock
