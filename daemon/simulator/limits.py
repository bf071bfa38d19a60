"""Rate limits: who is over one, how that is said, and who comes back too early."""

import email.utils
import math
import random
from collections import defaultdict, deque
from dataclasses import dataclass

from daemon.simulator.faults import RetryAfter


class Limits:
    """Counts calls per key ("read" and "write" apart; or per receiver) in a sliding window of seconds."""

    def __init__(self) -> None:
        self._admitted: defaultdict[str, deque[float]] = defaultdict(deque)
        self._shut_until: dict[str, float] = {}

    def admit(self, key: str, limit: int, window: float, now: float) -> float:
        """How many seconds the caller has to wait; 0 admits the call. One not admitted counts for nothing."""
        admitted = self._admitted[key]
        while admitted and admitted[0] <= now - window:
            admitted.popleft()
        if len(admitted) < limit:
            admitted.append(now)
            return 0.0
        return admitted[0] + window - now if admitted else window

    def left(self, key: str, limit: int) -> int:
        """How many calls the window still takes, as of the last one."""
        return max(0, limit - len(self._admitted[key]))

    def resets_in(self, key: str, window: float, now: float) -> float:
        """Seconds until the window has forgotten all calls so far."""
        admitted = self._admitted[key]
        return max(0.0, admitted[-1] + window - now) if admitted else 0.0

    def announce(self, key: str, until: float) -> None:
        """Remember that callers were told to stay away until then; a shorter wait does not cancel a longer."""
        self._shut_until[key] = max(until, self.shut_until(key))

    def too_early(self, key: str, now: float) -> bool:
        """Whether a call comes although callers were told to stay away."""
        return now < self.shut_until(key)

    def shut_until(self, key: str) -> float:
        """Until when callers were told to stay away."""
        return self._shut_until.get(key, 0.0)


@dataclass(frozen=True, slots=True)
class Announcement:
    """A wait as an answer spells it."""

    header: str | None
    """The value of Retry-After; None leaves it out."""
    seconds: float | None
    """What it obliges to; None when it makes no sense, so that any patience will do."""


def announce(form: RetryAfter, seconds: float, wall: float) -> Announcement:
    """Spell a wait out; `wall` is the epoch time. BuiltByBit's own unit is the millisecond.

    https://builtbybit.com/wiki/api-v2/ (Rate Limiting)
    """
    milliseconds = math.ceil(seconds * 1000)
    moment = math.ceil(wall + seconds)
    match form:
        case "ms":
            return Announcement(str(milliseconds), milliseconds / 1000)
        case "fraction":
            return Announcement(f"{milliseconds}.2", (milliseconds + 0.2) / 1000)
        case "edge":
            return Announcement(str(math.ceil(seconds)), math.ceil(seconds))
        case "date" | "edge_date":
            return Announcement(email.utils.formatdate(moment, usegmt=True), moment - wall)
        case "missing":
            return Announcement(None, None)
        case "zero":
            return Announcement("0", None)
        case "negative":
            return Announcement(str(-milliseconds), None)
        case "huge":
            return Announcement("1000000000000", None)
        case "text":
            return Announcement("in a while", None)


class Dice:
    """Decides which calls a disturbance hits: a share of them, and no more than so many."""

    def __init__(self, chance: random.Random, share: float = 1.0, times: int | None = None) -> None:
        self._chance = chance
        self._share = share
        self._left = math.inf if times is None else times

    def hit(self) -> bool:
        """Whether this call is hit; a hit is used up."""
        if self._left <= 0 or self._chance.random() >= self._share:
            return False
        self._left -= 1
        return True
