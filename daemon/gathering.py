"""What people are told together with other things, and when; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.contract import OWN_SOURCE, Cause, Event
from daemon.quantities import Rate
from daemon.timing import DigestTimes, QuietSpan, Zone

LATE = timedelta(hours=1)
"""What nobody was told for so long is no news any more, and comes as one message."""
REASONS: Mapping[Cause, str] = {
    "digest": "waits for the digest",
    "quiet": "waits until quiet hours are over",
    "burst": "many came at once; waits to be told together with others",
    "late": "over an hour old; told together with others",
}


@dataclass(frozen=True, slots=True)
class Hold:
    """Why something waits, and until when."""

    cause: Cause
    until: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """How many messages went out since the first of them."""

    ends_at: datetime
    sent: int


@dataclass(frozen=True, slots=True)
class Gathering:
    """How the people at one sink want to be told."""

    digest: DigestTimes | None
    burst: Rate | None
    quiet_hours: QuietSpan | None
    zone: Zone

    def hold(self, event: Event, now: datetime, *, first: bool = False) -> Hold | None:
        """What keeps an event that is stored now from going out at once, by itself.

        `first`: it waited at its source before we knew that source.
        """
        if goes_at_once(event):
            return None
        if (general := self.general_hold(now)) is not None:
            return general
        is_late = first and self.limit is not None and event.occurred_at < now - LATE
        return Hold("late", now) if is_late else None

    def general_hold(self, now: datetime) -> Hold | None:
        """What keeps back all that may be kept back."""
        if self.digest is not None:
            due = self.digest.next(now, self.zone)
            return Hold("digest", self.quiet_until(due) or due)
        until = self.quiet_until(now)
        return None if until is None else Hold("quiet", until)

    def quiet_until(self, now: datetime) -> datetime | None:
        """When these quiet hours end; None if it is not quiet."""
        return None if self.quiet_hours is None else self.quiet_hours.until(now, self.zone)

    @property
    def limit(self) -> Rate | None:
        """So many messages at most; digests keep themselves rare."""
        return self.burst if self.digest is None else None


def goes_at_once(event: Event) -> bool:
    """Whether it is never kept back: what the daemon itself has to say, and what is to try a sink out."""
    return event.source == OWN_SOURCE


def window_at(now: datetime, limit: Rate, stored: Window | None) -> Window:
    """The window that `now` is in: the stored one if it goes on, else one that begins now."""
    if stored is not None and now < stored.ends_at <= now + limit.per:
        return stored
    return Window(now + limit.per, 0)
