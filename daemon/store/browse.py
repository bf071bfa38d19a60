"""Looking at the ledger: what people and scripts see of it, as plain JSON values."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, not_, or_, select

from daemon.contract import OWN_SOURCE
from daemon.store.database import Database
from daemon.store.events import named
from daemon.store.gathered import waiting_together
from daemon.store.renames import FORMER_SINKS, FORMER_SOURCES, present_names, receivers_id
from daemon.store.sinks import waiting_by_sink
from daemon.tables import (
    DEAD,
    attempts,
    counters,
    deliveries,
    events,
    gates,
    meta,
    sinks,
    sources,
    unidentified,
    variants,
)

LATEST = 200
"""So many events are looked at to learn which placeholders come."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list, newest first."""

    state: str | None = None
    """A delivery state, "dead" (rejected or gave_up), "unrouted" or "unacknowledged"."""
    sink: str | None = None
    kind: str | None = None
    """A part of the trigger, whatever its case."""
    since: datetime | None = None
    limit: int = 50


class Browse:
    """Reads only; safe beside a running daemon."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def status(self) -> dict[str, Any]:
        """How everything is doing."""
        return await self._database.read(_status)

    async def events(self, wanted: EventFilter) -> list[dict[str, Any]]:
        """List events with the state of their deliveries."""
        return await self._database.read(lambda connection: _list(connection, wanted))

    async def show(self, key: str) -> list[dict[str, Any]]:
        """All that is known of the events with this key, external id, or delivery id."""
        return await self._database.read(lambda connection: _show(connection, key))

    async def unidentified(self) -> list[dict[str, Any]]:
        """What was listed without a usable id."""
        query = select(unidentified).order_by(unidentified.c.id)
        return await self._database.read(
            lambda connection: [_plain(row._mapping, leave=("digest",)) for row in connection.execute(query)]
        )

    async def placeholders(self) -> frozenset[str]:
        """What the data of the latest events that came from a source has, by name."""
        latest = select(events.c.data).where(events.c.source != OWN_SOURCE).order_by(events.c.id.desc()).limit(LATEST)
        found = await self._database.read(lambda connection: connection.execute(latest).scalars().all())
        return frozenset(name for data in map(_decoded, found) if isinstance(data, dict) for name in data)


def _plain(row: Any, *, leave: Sequence[str] = ()) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in row.items():
        if name in leave:
            continue
        if isinstance(value, datetime):
            value = value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "replace") if name == "body" else value.hex()
        values[name] = value
    return values


def _status(connection: Connection) -> dict[str, Any]:
    waiting, together = waiting_by_sink(connection), waiting_together(connection)
    ours = and_(counters.c.source == OWN_SOURCE, counters.c.sink == "")
    delivered = {
        (row.sink, row.outcome): row.number
        for row in connection.execute(
            select(counters.c.sink, counters.c.outcome, func.sum(counters.c.count).label("number"))
            .where(not_(ours))
            .group_by(counters.c.sink, counters.c.outcome)
        )
    }
    known = {row.name: row for row in connection.execute(select(sinks))}
    open_events = connection.execute(
        select(func.count()).select_from(events).where(events.c.acknowledged_at.is_(None))
    ).scalar()
    dead = connection.execute(select(func.count()).select_from(deliveries).where(DEAD)).scalar()
    return {
        "paused": connection.execute(select(meta.c.value).where(meta.c.name == "paused")).scalar() == "yes",
        "events": {
            "stored": sum(delivered.get(("", outcome), 0) for outcome in ("stored", "unrouted")),
            "unrouted": delivered.get(("", "unrouted"), 0),
            "unacknowledged": open_events,
            "unidentified": connection.execute(select(func.count()).select_from(unidentified)).scalar(),
        },
        "dead_letters": dead,
        "sources": [_plain(row._mapping) for row in connection.execute(select(sources))],
        "gates": [_plain(row._mapping) for row in connection.execute(select(gates))],
        "sinks": [
            {
                "name": name,
                "kind": known[name].kind if name in known else None,
                "lane": known[name].lane if name in known else None,
                "waiting": waiting.get(name, 0),
                "gathered": [
                    _plain({"cause": cause, "waiting": number, "due_at": due_at})
                    for cause, number, due_at in together.get(name, ())
                ],
                "delivered": delivered.get((name, "delivered"), 0),
                "rejected": delivered.get((name, "rejected"), 0),
                "gave_up": delivered.get((name, "gave_up"), 0),
            }
            for name in sorted({*known, *waiting}, key=str)
        ],
    }


def _list(connection: Connection, wanted: EventFilter) -> list[dict[str, Any]]:
    found = _filtered(select(events.c.id), wanted).order_by(events.c.id.desc()).limit(wanted.limit)
    rows = connection.execute(select(events).where(events.c.id.in_(found)).order_by(events.c.id.desc())).all()
    states: dict[int, dict[str, str]] = {}
    reasons: dict[int, dict[str, str]] = {}
    for row in connection.execute(
        select(*(deliveries.c[name] for name in ("event_id", "sink", "state", "reason")))
        .where(deliveries.c.event_id.in_(found))
        .order_by(deliveries.c.id)
    ):
        states.setdefault(row.event_id, {})[str(row.sink)] = row.state
        if row.state in ("rejected", "gave_up"):
            reasons.setdefault(row.event_id, {})[str(row.sink)] = row.reason or ""
    return [
        {
            "key": f"{row.source}:{row.external_id}",
            **_plain(row._mapping, leave=("id", "data", "raw", "digest", "routed")),
            "deliveries": states.get(row.id, {}),
            "reasons": reasons.get(row.id, {}),
        }
        for row in rows
    ]


def _filtered(query: Select[Any], wanted: EventFilter) -> Select[Any]:
    conditions = [deliveries.c.event_id == events.c.id]
    if wanted.state == "unacknowledged":
        query = query.where(events.c.acknowledged_at.is_(None))
    elif wanted.state == "unrouted":
        query = query.where(events.c.routed == 0, events.c.source != OWN_SOURCE)
    elif wanted.state is not None:
        conditions.append(DEAD if wanted.state == "dead" else deliveries.c.state == wanted.state)
    if wanted.sink is not None:
        conditions.append(deliveries.c.sink == wanted.sink)
    if len(conditions) > 1:
        query = query.where(exists().where(and_(*conditions)))
    if wanted.kind is not None:
        query = query.where(events.c.kind.icontains(wanted.kind, autoescape=True))
    if wanted.since is not None:
        query = query.where(events.c.stored_at >= wanted.since)
    return query


def _show(connection: Connection, key: str) -> list[dict[str, Any]]:
    meant = or_(named([key]), events.c.id.in_(_delivered_as(connection, key)))
    rows = connection.execute(select(events).where(meant).order_by(events.c.id).limit(20)).all()
    return [_show_one(connection, row) for row in rows]


def _delivered_as(connection: Connection, given_id: str) -> list[int]:
    """The event of a delivery that receivers know by this id, in a list that is empty or holds one."""
    sent = select(
        events.c.id.label("event_id"),
        events.c.source,
        events.c.external_id,
        deliveries.c.sink,
        deliveries.c.id,
        *_FORMER,
    ).join_from(deliveries, events)
    if not given_id.startswith("d-"):  # not hashed: source, id and sink as they are
        source, _, rest = given_id.partition("-")
        named_so = present_names(connection.execute(select(FORMER_SOURCES)).scalar(), source)
        sent = sent.where(events.c.source.in_(named_so), events.c.external_id == rest.rpartition("-")[0])
    return [row.event_id for row in connection.execute(sent) if _known_as(row) == given_id]


_FORMER = FORMER_SINKS.label("former_sinks"), FORMER_SOURCES.label("former_sources")


def _known_as(row: Any) -> str:
    return receivers_id(row, row.sink, event_id=row.event_id, row_id=row.id)


def _show_one(connection: Connection, event: Any) -> dict[str, Any]:
    tried: dict[int, list[dict[str, Any]]] = {}
    sent = connection.execute(
        select(deliveries, events.c.source, events.c.external_id, *_FORMER)
        .join_from(deliveries, events)
        .where(deliveries.c.event_id == event.id)
        .order_by(deliveries.c.id)
    ).all()
    for row in connection.execute(
        select(attempts).where(attempts.c.delivery_id.in_([one.id for one in sent])).order_by(attempts.c.id)
    ):
        tried.setdefault(row.delivery_id, []).append(_plain(row._mapping, leave=("id", "delivery_id")))
    others = connection.execute(select(variants).where(variants.c.event_id == event.id).order_by(variants.c.id))
    return {
        "key": f"{event.source}:{event.external_id}",
        **_plain(event._mapping, leave=("id", "data", "digest", "routed")),
        "data": _decoded(event.data),
        "variants": [
            {**_plain(row._mapping, leave=("id", "event_id", "digest", "data")), "data": _decoded(row.data)}
            for row in others
        ],
        "deliveries": [
            {**_plain(row._mapping, leave=_NOT_SHOWN), "delivery_id": _known_as(row), "attempts": tried.get(row.id, [])}
            for row in sent
        ],
    }


_NOT_SHOWN = ("id", "event_id", "source", "external_id", "former_sinks", "former_sources")


def _decoded(data: str) -> Any:
    """Event data; what the disk damaged is shown as it is."""
    try:
        return json.loads(data)
    except ValueError:
        return data
