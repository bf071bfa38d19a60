"""What follows from an outcome for the delivery. No I/O, no clock, no chance: all are arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from daemon.contract import Closed, Delivered, Outcome, Rejected, TryLater
from daemon.http import sane_wait

# wait    5 s   30 s    2 min  10 min  30 min    2 h      5 h      10 h      14 h      20 h      24 h
# sum     5 s   35 s    2:35   12:35   42:35   2:42:35  7:42:35  17:42:35  31:42:35  51:42:35  75:42:35
DEFAULT_WAITS: tuple[timedelta, ...] = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 120, 600, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""Waits between the twelve attempts of a delivery: 75 h 42 min 35 s in all, before jitter."""

JITTER = 0.1
"""A wait is lengthened by up to this share, so that what failed together does not return together."""

STOPPED_WAIT = timedelta(seconds=1)

State = Literal["waiting", "delivered", "rejected", "gave_up"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt."""

    state: State
    reason: str
    failures: int
    due_at: datetime | None = None
    """When it is tried again; only for `waiting`."""

    def shifted(self, step: timedelta) -> "Verdict":
        """The same wait after the wall clock was set by `step`."""
        return self if self.due_at is None else replace(self, due_at=self.due_at + step)


def judge(
    outcome: Outcome, *, failures: int, waits: Sequence[timedelta], now: datetime, spread: float, counts: bool = True
) -> Verdict:
    """Decide what follows from one outcome.

    `failures`: how many counted failures came before; `spread`: chance, 0 to 1; `counts`: False for
    the probe of a failing lane, which must not use up the delivery's own attempts.
    """
    match outcome:
        case Delivered(detail):
            return Verdict("delivered", detail, failures)
        case Rejected(reason):
            return Verdict("rejected", reason, failures)
        case Closed(reason):
            return Verdict("waiting", reason, failures, now + STOPPED_WAIT)
        case TryLater(reason, _, throttled):
            wait = wish(outcome)
            failed = counts and not throttled and wait is None
            if failed and failures >= len(waits):
                return Verdict("gave_up", f"{reason} (attempt {failures + 1} was the last)", failures + 1)
            step = 0 if throttled else min(failures, len(waits) - 1)
            ours = jittered(waits[step] if waits else STOPPED_WAIT, spread)
            return Verdict("waiting", reason, failures + failed, now + max(ours, wait or timedelta()))


def wish(outcome: TryLater) -> timedelta | None:
    """The receiver's own wait, if it is one that we obey: positive, at most 24 hours."""
    return None if outcome.wait is None else sane_wait(outcome.wait.total_seconds())


def jittered(wait: timedelta, spread: float) -> timedelta:
    """Lengthen a wait by up to JITTER; `spread` is chance, 0 to 1."""
    return wait * (1 + JITTER * spread)


def back_off(strikes: int, *, first: timedelta, longest: timedelta, spread: float) -> timedelta:
    """Double the wait with each strike, from `first` to `longest`, with jitter."""
    doublings = min(max(strikes - 1, 0), (longest // first).bit_length())
    return min(jittered(first * 2**doublings, spread), longest)
