"""Telling people once a day, week or month what the shop did, each sink for itself and each time exactly once."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from daemon import log
from daemon.people import Every, PeopleSettings
from daemon.placeholders import REFUNDS
from daemon.quantities import duration_text
from daemon.store import Store, Sums
from daemon.timing import DigestTimes, Zone, in_utc, parse_digest

_DUE: Mapping[Every, DigestTimes] = {
    "daily": parse_digest("09:00"),
    "weekly": parse_digest("mon 09:00"),
    "monthly": parse_digest("0 9 1 * *"),
}
"""On the first day after a period, when people are up, by the sink's own time."""
_LATE: Mapping[Every, timedelta] = {
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=28),
}
"""A report that is later than this is not made up for: the next one is there, or about to be."""
_NOTE = f"{REFUNDS[:1].upper()}{REFUNDS[1:]}."

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days of a time zone, and when they are reported."""

    every: Every
    first: date
    last: date
    zone: Zone
    due: datetime

    @property
    def start(self) -> datetime:
        """Midnight, in UTC."""
        return in_utc(datetime.combine(self.first, time()), self.zone)

    @property
    def end(self) -> datetime:
        """Midnight, in UTC."""
        return in_utc(datetime.combine(self.last + timedelta(days=1), time()), self.zone)

    @property
    def title(self) -> str:
        """Which days these are, for people."""
        match self.every:
            case "daily":
                return f"{self.last:%A}, {_day(self.last)} {self.last.year}"
            case "weekly":
                return f"{_day(self.first)} to {_day(self.last)} {self.last.year}"
            case "monthly":
                return f"{self.last:%B %Y}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B}"


def next_report(every: Every, zone: Zone, after: datetime) -> Period:
    """The first report that is due later than `after`."""
    due = _DUE[every].next(after, zone)
    last = due.astimezone(zone).date() - timedelta(days=1)
    first = {"daily": last, "weekly": last - timedelta(days=6), "monthly": last.replace(day=1)}[every]
    return Period(every, first, last, zone, due)


def missed_report(every: Every, zone: Zone, after: datetime, now: datetime) -> Period | None:
    """The last report that was due later than `after` and no later than `now`, unless it is too late for it."""
    missed, candidate = None, next_report(every, zone, max(after, now - _LATE[every]))
    while candidate.due <= now:
        missed, candidate = candidate, next_report(every, zone, candidate.due)
    return missed


class Reports:
    """The round that makes reports; each is an event of our own with one delivery."""

    def __init__(
        self, store: Store, people: Mapping[str, PeopleSettings], wake: Callable[[Collection[str]], None]
    ) -> None:
        self._store = store
        self._wanted = [(name, each, each.report) for name, each in people.items() if each.report]
        self._wake = wake

    async def __call__(self) -> timedelta | None:
        """Make what is due; how long until the next, None if no sink wants any."""
        now = self._store.database.clock()
        waits = []
        for name, people, every in self._wanted:
            until = await self._store.figures.reported_until(name)
            if until is None or until > now:  # new here, or the clock was ahead
                await self._store.figures.note_reported(name, now)
            elif missed := missed_report(every, people.zone, until, now):
                await self._make(name, missed, people)
            waits.append(next_report(every, people.zone, now).due - now)
        return min(waits, default=None)

    async def _make(self, sink: str, period: Period, people: PeopleSettings) -> None:
        sums = await self._store.figures.between(period.start, period.end)
        kind = f"report.{period.every}"
        # Its id is made of the sink and the period, so that it is stored only once, whenever we are killed.
        external_id = f"{kind}-{sink}-{period.first:%Y-%m-%d}"
        added = await self._store.events.add_own(kind, external_id, told(sums, period, people), [sink])
        await self._store.figures.note_reported(sink, period.due)
        _log.info("report.made", sink=sink, period=period.title)
        self._wake(added.woken)


def told(sums: Sums, period: Period, people: PeopleSettings) -> dict[str, str]:
    """A report as the data of an event: a title, a text, and a line for each figure that these readers may see."""
    full = people.audience == "full"
    shown = {"title": f"{period.every.capitalize()} report: {period.title}", "text": _NOTE, "sold": str(sums.sold)}
    if full:
        shown["gross_sales"] = _money(sums.gross, people.currency)
    if sums.best is not None:
        title, number = sums.best
        shown["best_resource"] = f"{title} ({number} sold)"
    stars = "" if sums.stars is None else f", {sums.stars:.1f} stars on average"
    shown["reviews"] = f"{sums.reviews}{stars}"
    shown["not_delivered"] = f"{sums.gave_up} given up, {sums.rejected} rejected"
    if sums.slowest is not None:
        took, sink = sums.slowest
        shown["slowest_delivery"] = _rounded(took) + (f" (to {sink})" if full else "")
    return shown


def _money(gross: Mapping[str, Decimal], otherwise: str) -> str:
    by_currency: defaultdict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in gross.items():
        by_currency[currency or otherwise] += amount
    return ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(by_currency.items())) or "none"


def _rounded(duration: timedelta) -> str:
    """Two units at most, since nobody wants the seconds of a day."""
    if duration < timedelta(seconds=1):
        return "under 1s"
    if duration < timedelta(minutes=1):
        return f"{duration.total_seconds():.1f}s"
    step = timedelta(seconds=1) if duration < timedelta(hours=1) else timedelta(minutes=1)
    return duration_text(round(duration / step) * step)
