"""Hourly sums, from which all statistics are read, so that pruning loses none of them."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import NamedTuple, Self

from sqlalchemy import Column, Connection, Insert, case, delete, exists, literal_column, select, update

from daemon.contract import Event, is_test
from daemon.placeholders import by_name, item_of, price_of, stars_of
from daemon.store.text import storable
from daemon.store.upsert import upsert
from daemon.tables import counters

STARS = "stars"
"""The outcome under which ratings are summed up: `count` events with `micros` millionths of stars in all."""
_MICRO = timedelta(microseconds=1)
_BETWEEN = "\t"


class Count(NamedTuple):
    """One that is counted, with all others whose fields but the last are the same: those are the key of the table."""

    hour: datetime
    source: str
    kind: str
    sink: str
    outcome: str
    resource: str
    """Its number and its title where both are known; see `resource_parts`."""
    currency: str
    micros: int = 0
    """Of an event: its money, or stars, in millionths. Of a delivery: the microseconds it took."""

    @classmethod
    def of_event(cls, event: Event, now: datetime, *, outcome: str) -> Iterator[Self]:
        """Count an event once, with its resource and money where its data has them, and its stars."""
        known = by_name(event.data)
        resource = storable(_BETWEEN.join(filter(None, item_of(known)))[:200])
        price, currency = price_of(known)
        hour, kind, micros = _hour(now), _short(event.kind), round((price or 0) * 1_000_000)
        yield cls(hour, event.source, kind, "", outcome, resource, storable(currency), micros)
        if (stars := stars_of(known)) is not None:
            yield cls(hour, event.source, kind, "", STARS, resource, "", round(stars * 1_000_000))

    @classmethod
    def of_delivery(
        cls, source: str, kind: str, sink: str, outcome: str, now: datetime, *, took: timedelta = timedelta()
    ) -> Self:
        """Count what became of one attempt; `took`: from when its event was stored until it was delivered."""
        return cls(_hour(now), source, _short(kind), sink, outcome, "", "", max(0, took // _MICRO))


def resource_parts(resource: str) -> tuple[str, str]:
    """What tells a resource from all others, and its title if it is known."""
    number, _, title = resource.partition(_BETWEEN)
    return number, title


@lru_cache(1)
def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


def _short(text: str) -> str:
    return storable(text[:200])


def count_up(connection: Connection, counts: Iterable[Count]) -> None:
    """Add to the sums, inside the transaction of what is counted; what an operator tries out is not counted."""
    sums: dict[tuple[object, ...], tuple[int, int]] = {}
    for count in counts:
        if is_test(count.source, count.kind):
            continue
        key = count[:-1]
        number, micros = sums.get(key, (0, 0))
        sums[key] = number + 1, max(micros, count.micros) if count.sink else micros + count.micros
    if not sums:
        return
    connection.execute(
        _sum_up(connection.dialect.name),
        [
            {**dict(zip(_KEYS, key, strict=True)), "count": number, "micros": micros}
            for key, (number, micros) in sums.items()
        ],
    )


def move_counts(connection: Connection, column: Column[str], old: str, new: str) -> None:
    """Let the sums of one sink or source (`column`) be another's, added to those that it has already."""
    if not connection.execute(select(exists().where(column == new))).scalar():
        connection.execute(update(counters).where(column == old).values({column.name: new}))
        return
    if moved := connection.execute(select(counters).where(column == old)).all():
        connection.execute(_sum_up(connection.dialect.name), [{**row._mapping, column.name: new} for row in moved])
        connection.execute(delete(counters).where(column == old))


_KEYS = [column.name for column in counters.primary_key]


@cache
def _sum_up(dialect: str) -> Insert:
    statement = upsert(dialect, counters)
    of_event = counters.c.sink == literal_column("''")
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=_KEYS,
        set_={
            "count": counters.c.count + new["count"],
            "micros": case(
                (of_event, counters.c.micros + new.micros),
                (new.micros > counters.c.micros, new.micros),
                else_=counters.c.micros,
            ),
        },
    )
