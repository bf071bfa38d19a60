"""How a sink is treated, as its settings ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.gathering import Gathering


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """What a lane keeps to."""

    waits: tuple[timedelta, ...]
    """Between the attempts of one delivery; after the last of them it is given up."""
    concurrency: int
    """How many batches are under way at once, at most."""
    batch_limit: int
    """How many deliveries one call can carry."""
    deadline: timedelta
    """For one call of the sink, whatever it does."""
    gathering: Gathering | None = None
    """How its people want to be told; None: every event by itself, as it comes."""

    def quiet_until(self, now: datetime) -> datetime | None:
        """When its quiet hours end; None if it is not quiet."""
        return None if self.gathering is None else self.gathering.quiet_until(now)
