"""Hourly sums, from which all statistics are read, so that pruning loses none of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Self

from sqlalchemy import Connection, Insert

from daemon.contract import Event
from daemon.store.text import storable
from daemon.store.upsert import upsert
from daemon.tables import counters

_LARGEST_PRICE = Decimal(10) ** 9
"""A price beyond this is nonsense; counting it would spoil the sums for ever."""


@dataclass(frozen=True, slots=True)
class Count:
    """What is counted together."""

    hour: datetime
    source: str
    kind: str
    sink: str
    outcome: str
    resource: str
    currency: str
    micros: int = 0
    """Money of one such event, in millionths."""

    @classmethod
    def of_event(cls, event: Event, now: datetime, *, outcome: str) -> Self:
        """Count an event once, with its resource and money where its data has them."""
        resource = _short(event.data.get("resource_id")) or _short(event.data.get("resource_title"))
        return cls(
            _hour(now),
            event.source,
            _short(event.kind),
            "",
            outcome,
            resource,
            _short(event.data.get("currency"))[:16],
            _micros(event.data.get("final_price")),
        )

    @classmethod
    def of_delivery(cls, source: str, kind: str, sink: str, outcome: str, now: datetime) -> Self:
        """Count what became of one attempt."""
        return cls(_hour(now), source, _short(kind), sink, outcome, "", "")


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


def _short(value: Any) -> str:
    return storable(str(value)[:200]) if isinstance(value, str | int) else ""


def _micros(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return 0
    text = str(value)
    try:
        price = Decimal(text) if len(text) <= 32 else Decimal(0)
    except InvalidOperation:
        return 0
    return round(price * 1_000_000) if price.is_finite() and abs(price) <= _LARGEST_PRICE else 0


def count_up(connection: Connection, counts: Mapping[Count, int]) -> None:
    """Add to the sums, inside the transaction of what is counted."""
    if not counts:
        return
    merged: dict[Count, tuple[int, int]] = {}
    for count, times in counts.items():
        key = replace(count, micros=0)
        number, micros = merged.get(key, (0, 0))
        merged[key] = (number + times, micros + times * count.micros)
    connection.execute(
        _sum_up(connection.dialect.name),
        [
            {**{name: getattr(key, name) for name in _KEYS}, "count": number, "micros": micros}
            for key, (number, micros) in merged.items()
        ],
    )


_KEYS = [column.name for column in counters.primary_key]


@cache
def _sum_up(dialect: str) -> Insert:
    statement = upsert(dialect, counters)
    return statement.on_conflict_do_update(
        index_elements=_KEYS,
        set_={
            "count": counters.c.count + statement.excluded["count"],
            "micros": counters.c.micros + statement.excluded["micros"],
        },
    )
