"""When people want to be told: digests at set times, quiet hours, so many messages at most; written as text."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, Literal

from apscheduler.triggers.cron import CronTrigger
from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from daemon.quantities import Rate, parse_rate, rate_text

LONGEST_BURST = timedelta(days=1)
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY = f"[0-7]|{'|'.join(_WEEKDAYS)}"
_DAYS = re.compile(rf"(\*|{_DAY})(?:-({_DAY}))?(?:/([1-7]))?")
_AT = re.compile(rf"(?:({'|'.join(_WEEKDAYS)}) )?(\d\d?):(\d\d)", re.IGNORECASE)
_SPAN = re.compile(r"(\d\d?):(\d\d) *- *(\d\d?):(\d\d)")
_DIGEST_FORM = 'not a time for a digest; write "09:00", "mon 09:00", or a cron expression such as "0 9,17 * * mon-fri"'
_SAMPLE = datetime(2026, 1, 1, tzinfo=UTC)
_CLOCK_CHANGE = timedelta(hours=3)
"""No zone sets its clock by more at once, but for days that were left out of calendars."""

Zone = tzinfo | None
"""None stands for this machine's."""


def in_utc(wall: datetime, zone: Zone) -> datetime:
    """When the clocks of a zone show this; what they skip comes as much later as they are set."""
    # `astimezone` takes it for earlier where the zone is this machine's.
    return datetime.fromtimestamp(wall.replace(tzinfo=zone).timestamp(), UTC)


@dataclass(frozen=True, slots=True)
class DigestTimes:
    """The moments at which one message tells all that happened since the last."""

    text: str
    """As it was written."""
    _trigger: Any = field(compare=False, repr=False)
    """Counts on a wall clock that nobody sets. Given a zone, APScheduler leaves out a midnight after one was set."""

    def next(self, after: datetime, zone: Zone) -> datetime:
        """The first moment later than `after`, in UTC.

        A time of day that the clock skips comes as much later as it was set, one that it shows twice comes the first
        time. Raises ValueError if none ever comes.
        """
        offsets = {(after + around).astimezone(zone).utcoffset() for around in (-_CLOCK_CHANGE, _CLOCK_CHANGE)}
        # While clocks change, what the wall shows later may have come earlier.
        around = _CLOCK_CHANGE if len(offsets) > 1 else timedelta()
        wall = after.astimezone(zone).replace(tzinfo=UTC) - around
        dues: list[datetime] = []
        while found := self._trigger.get_next_fire_time(None, wall + timedelta(microseconds=1)):
            due = in_utc(found, zone)
            if dues and due > dues[0] + around:
                break
            dues += [due] if due > after else []
            if dues and not around:
                break
            wall = found
        if not dues:
            raise ValueError("never comes")
        return min(dues)

    def __str__(self) -> str:
        return self.text


def parse_digest(value: Any) -> DigestTimes:
    """Understand "09:00", "mon 09:00" or a cron expression. Raises ValueError with what to write."""
    if isinstance(value, DigestTimes):
        return value
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if at := _AT.fullmatch(text):
        weekday, hour, minute = at.groups()
        parts = [str(int(minute)), str(int(hour)), "*", "*", (weekday or "*").lower()]
    else:
        parts = text.split(" ")
    if len(parts) != 5 or len(text) > 200:
        raise ValueError(_DIGEST_FORM)
    minute, hour, day, month, weekdays = parts
    if day != "*" and weekdays != "*":
        # Elsewhere cron takes either of them, here it would be both at once: nobody is to guess which.
        raise ValueError("names both a day of the month and a day of the week; leave one of them *")
    try:
        days = "*" if weekdays == "*" else _spelled_out(weekdays)
        trigger = CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=days, timezone=UTC)
        times = DigestTimes(text, trigger)
        times.next(_SAMPLE, UTC)
    except (ValueError, OverflowError):
        raise ValueError(_DIGEST_FORM) from None
    return times


def _spelled_out(weekdays: str) -> str:
    """With the names of all days that are meant: cron's numbers begin with Sunday, APScheduler's with Monday."""
    days = []
    for part in weekdays.lower().split(","):
        match = _DAYS.fullmatch(part)
        if match is None:
            raise ValueError(part)
        first, last, step = match[1], match[2], int(match[3] or 1)
        begin = 0 if first == "*" else _number(first)
        end = 6 if first == "*" else begin if last is None else _number(last)
        end += 7 * (end < begin)  # "fri-mon" goes on into the next week
        days += [_WEEKDAYS[day % 7] for day in range(begin, end + 1, step)]
    return ",".join(days)


def _number(day: str) -> int:
    return int(day) if day.isdigit() else _WEEKDAYS.index(day)


@dataclass(frozen=True, slots=True)
class QuietSpan:
    """A part of each day, perhaps over midnight, in which nobody wants to be told."""

    begins: time
    ends: time

    def until(self, now: datetime, zone: Zone) -> datetime | None:
        """When it ends, in UTC; None unless `now` is in it."""
        local = now.astimezone(zone)
        clock = local.time()
        if self.begins < self.ends:
            quiet, tomorrow = self.begins <= clock < self.ends, False
        else:
            quiet, tomorrow = clock >= self.begins or clock < self.ends, clock >= self.begins
        if not quiet:
            return None
        # On a wall clock, which may be set meanwhile; where it shows the end twice, the first time still to come.
        wall = datetime.combine(local.date() + timedelta(days=tomorrow), self.ends)
        ends = [in_utc(wall.replace(fold=fold), zone) for fold in (0, 1)]
        return next((end for end in ends if end > now), None)

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


def parse_quiet_hours(value: Any) -> QuietSpan:
    """Understand "22:00-07:00". Raises ValueError with what to write."""
    if isinstance(value, QuietSpan):
        return value
    match = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        numbers = [int(number) for number in match.groups()] if match else [0] * 4
        span = QuietSpan(time(numbers[0], numbers[1]), time(numbers[2], numbers[3]))
    except ValueError:
        span = None
    if span is None or span.begins == span.ends:
        raise ValueError('not a part of a day; write from when to when, such as "22:00-07:00"')
    return span


def parse_burst(value: Any) -> Rate | Literal[False]:
    """Understand "20/1m"; false is no limit. Raises ValueError with what to write."""
    if value is False or (isinstance(value, str) and value.strip().lower() == "false"):
        return False
    try:
        rate = parse_rate(value)
    except ValueError:
        rate = None
    if rate is None or rate.per > LONGEST_BURST:
        raise ValueError('must be how many messages in which time, at most a day, such as "20/1m"; or false')
    return rate


Digest = Annotated[
    DigestTimes,
    PlainValidator(parse_digest),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["09:00", "mon 09:00", "0 9,17 * * mon-fri"]}),
]
QuietHours = Annotated[
    QuietSpan,
    PlainValidator(parse_quiet_hours),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["22:00-07:00"]}),
]
Burst = Annotated[
    Rate | Literal[False],
    PlainValidator(parse_burst),
    PlainSerializer(lambda burst: burst and rate_text(burst), return_type=str | Literal[False]),
    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["20/1m"]}, {"const": False}]}),
]
