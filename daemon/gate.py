"""When an upstream may be called again (pure): one gate for each host and kind of access."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.http import LONGEST_RETRY_AFTER
from daemon.retry import back_off

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Gate:
    """Shut until `opens_at`; `strikes` counts rate limits in a row, for those that name no wait."""

    opens_at: datetime
    strikes: int = 0

    def shut_at(self, now: datetime) -> bool:
        """Whether nothing may go out now."""
        return now < self.opens_at


def shut(gate: Gate | None, wait: timedelta | None, *, now: datetime, spread: float) -> Gate:
    """Shut for the wait that was asked for, in full; without one, back off from 1 s to 15 min.

    A gate never opens earlier than it was already going to.
    """
    strikes = (gate.strikes if gate else 0) + 1
    wait = wait or back_off(strikes, first=FIRST_WAIT, longest=LONGEST_WAIT, spread=spread)
    opens_at = now + wait
    return Gate(max(opens_at, gate.opens_at) if gate else opens_at, strikes)


def restored(gate: Gate, now: datetime) -> Gate:
    """A gate read from disk: no longer shut than we ever obey, should the clock have been set."""
    return Gate(min(gate.opens_at, now + LONGEST_RETRY_AFTER), gate.strikes)
