"""What happened within a time, read from the hourly sums; and up to when it was reported."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from daemon.contract import OWN_SOURCE
from daemon.placeholders import topic_of
from daemon.store.counters import STARS, resource_parts
from daemon.store.database import Database
from daemon.store.facts import reported_name
from daemon.store.upsert import put
from daemon.tables import counters, meta

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Sums:
    """The figures of some hours. The daemon's own events are not among them."""

    sold: int
    gross: Mapping[str, Decimal]
    """By currency; "" where the event named none. Only currencies in which something was paid."""
    best: tuple[str, int] | None
    """What was sold most often, by its title where one is known, and how often."""
    reviews: int
    stars: Decimal | None
    """On average, over the reviews that gave any."""
    gave_up: int
    rejected: int
    slowest: tuple[timedelta, str] | None
    """How long the slowest delivery took after its event was stored, and to which sink it went."""


class Figures:
    """What reports are made from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def between(self, start: datetime, end: datetime) -> Sums:
        """Sum up the hours that begin from `start` on and before `end`."""
        sums = (
            select(
                *(counters.c[name] for name in ("sink", "kind", "outcome", "resource", "currency")),
                func.sum(counters.c.count).label("number"),
                func.sum(counters.c.micros).label("micros"),
                func.max(counters.c.micros).label("largest"),
                func.max(counters.c.hour).label("latest"),
            )
            .where(counters.c.hour >= start, counters.c.hour < end, counters.c.source != OWN_SOURCE)
            .group_by("sink", "kind", "outcome", "resource", "currency")
        )
        return _sums(await self._database.read(lambda connection: connection.execute(sums).all()))

    async def reported_until(self, sink: str) -> datetime | None:
        """Which report a sink got last, by when it was due; None if it never was to get any."""
        stored = select(meta.c.value).where(meta.c.name == reported_name(sink))
        found = await self._database.read(lambda connection: connection.execute(stored).scalar())
        return None if found is None else datetime.fromisoformat(found)

    async def note_reported(self, sink: str, until: datetime) -> None:
        """Remember that reports due up to then were made."""

        def operation(connection: Connection, _: datetime) -> None:
            put(connection, meta, {"name": reported_name(sink), "value": until.astimezone(UTC).isoformat()})

        await self._database.write(operation)


def _sums(rows: Iterable[Any]) -> Sums:
    gross: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    titles: dict[str, str] = {}
    reviews = rated = stars = 0
    fates: Counter[str] = Counter()
    slowest = (0, "")
    for row in sorted(rows, key=lambda row: row.latest):
        topic = topic_of(row.kind)
        match row.outcome:
            case _ if row.sink:
                fates[row.outcome] += row.number
                slowest = max(slowest, (row.largest, row.sink))
            case outcome if outcome == STARS:
                rated, stars = (rated + row.number, stars + row.micros) if topic == "review" else (rated, stars)
            case _ if topic == "review":
                reviews += row.number
            case _ if topic == "purchase":
                number, title = resource_parts(row.resource)
                gross[row.currency] += row.micros
                sold[number] += row.number
                titles[number] = title or titles.get(number, number)
    best = max(filter(None, sold), key=lambda number: sold[number], default=None)
    return Sums(
        sold=sold.total(),
        gross={currency: Decimal(micros) / _MILLION for currency, micros in sorted(gross.items()) if micros},
        best=(titles[best], sold[best]) if best else None,
        reviews=reviews,
        stars=Decimal(stars) / _MILLION / rated if rated else None,
        gave_up=fates["gave_up"],
        rejected=fates["rejected"],
        slowest=(timedelta(microseconds=slowest[0]), slowest[1]) if slowest[0] else None,
    )
