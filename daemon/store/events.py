"""What came in: events with their deliveries, in one transaction; and what was set aside."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from daemon.contract import OWN_SOURCE, Event, Incoming, Unidentified
from daemon.gathering import Gathering
from daemon.store.again import complete_again, complete_pruned, keep_variant
from daemon.store.aside import set_aside
from daemon.store.counters import Count, count_up
from daemon.store.database import Database
from daemon.store.gathered import held
from daemon.store.text import data_text, digest_of, storable
from daemon.store.writer import Operation
from daemon.tables import deliveries, events, sources, tombstones

CHUNK = 500
"""So many ids are looked up in one statement; SQLite takes at most 32,766 parameters."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An event as listed, and the sinks it goes to."""

    incoming: Incoming
    sinks: tuple[str, ...]
    skip: bool = False
    """Store the deliveries as `skipped`: on record, replayable, but not sent."""
    first: bool = False
    """It waited at its source before we knew that source: people are told together what is old of it."""


@dataclass(slots=True)
class Added:
    """What storing one page changed."""

    new: list[Event] = field(default_factory=list)
    unrouted: list[Event] = field(default_factory=list)
    woken: set[str] = field(default_factory=set)
    """Sinks that got something to do."""
    late: set[str] = field(default_factory=set)
    """Sinks that got something old, which may wait until all of it is there."""
    changed: list[Event] = field(default_factory=list)
    """Repeats with other content than the first."""
    returned: list[str] = field(default_factory=list)
    """Listed again although completed: ids that came back three times or more."""
    unidentified: int = 0


def named(keys: Iterable[str]) -> ColumnElement[bool]:
    """Events that go by one of these names: the key (`source:id`) or the plain external id."""
    plain, by_source = list(keys), dict[str, list[str]]()
    for key in plain:
        source, colon, external_id = key.partition(":")
        if colon:
            by_source.setdefault(source, []).append(external_id)
    return or_(
        events.c.external_id.in_(plain),
        *(and_(events.c.source == source, events.c.external_id.in_(ids)) for source, ids in by_source.items()),
    )


class Events:
    """The incoming side of the ledger."""

    def __init__(self, database: Database, gatherings: Mapping[str, Gathering]) -> None:
        """`gatherings`, by sink: how people there want to be told."""
        self._database = database
        self._gatherings = gatherings

    async def add(
        self, source: str, planned: Sequence[Planned], *, aside: Sequence[Unidentified] = (), cursor: str | None = None
    ) -> Added:
        """Store new events with their deliveries and the cursor: all or none. A repeat changes nothing."""
        return await self._database.write(self._adding(source, planned, aside, cursor))

    async def add_own(self, kind: str, external_id: str, data: Mapping[str, Any], sinks: Sequence[str]) -> Added:
        """Store something the daemon itself has to say; it is acknowledged nowhere."""
        return await self._database.write(self.own(kind, external_id, data, sinks))

    def own(self, kind: str, external_id: str, data: Mapping[str, Any], sinks: Sequence[str]) -> Operation[Added]:
        """The same, as a part of a transaction that does more."""
        event = Event(OWN_SOURCE, external_id, None, kind, self._database.clock(), data)
        return self._adding(OWN_SOURCE, [Planned(Incoming(event), tuple(sinks))])

    def _adding(
        self, source: str, planned: Sequence[Planned], aside: Sequence[Unidentified] = (), cursor: str | None = None
    ) -> Operation[Added]:
        listed = [_Listed(item, _row(item)) for item in planned]

        def operation(connection: Connection, now: datetime) -> Added:
            added = Added()
            for chunk in _chunks(listed):
                _add(connection, now, source, chunk, added, self._gatherings)
            added.unidentified = set_aside(connection, now, source, aside)
            if cursor is not None:
                connection.execute(update(sources).where(sources.c.name == source).values(cursor=cursor))
            return added

        return operation


@dataclass(frozen=True, slots=True)
class _Listed:
    planned: Planned
    row: dict[str, Any]

    @property
    def external_id(self) -> str:
        return str(self.row["external_id"])

    @property
    def event(self) -> Event:
        return self.planned.incoming.event


def _row(item: Planned) -> dict[str, Any]:
    event, raw = item.incoming.event, item.incoming.raw
    kind, data = storable(event.kind), data_text(event.data)
    channel = None if event.channel is None else storable(event.channel)
    raw = None if raw is None else storable(raw)
    return {
        "source": event.source,
        "external_id": storable(event.external_id),
        "channel": channel,
        "kind": kind,
        "occurred_at": event.occurred_at,
        "data": data,
        "raw": raw,
        "digest": digest_of(kind, channel, data, raw),
        "routed": len(item.sinks),
    }


def _chunks(listed: Iterable[_Listed]) -> Iterator[list[_Listed]]:
    """Pieces in which no id comes twice, so that what follows is met as a repeat of what is stored."""
    chunk: dict[str, _Listed] = {}
    for item in listed:
        twin = chunk.get(item.external_id)
        if twin is not None and twin.row["digest"] == item.row["digest"]:
            continue
        if twin is not None or len(chunk) == CHUNK:
            yield list(chunk.values())
            chunk = {}
        chunk[item.external_id] = item
    if chunk:
        yield list(chunk.values())


def _add(
    connection: Connection,
    now: datetime,
    source: str,
    chunk: Sequence[_Listed],
    added: Added,
    gatherings: Mapping[str, Gathering],
) -> None:
    ids = [item.external_id for item in chunk]
    known = {
        row.external_id: row
        for row in connection.execute(
            select(
                events.c.id, events.c.external_id, events.c.digest, events.c.acknowledged_at, events.c.relisted
            ).where(events.c.source == source, events.c.external_id.in_(ids))
        )
    }
    buried = {
        row.external_id: row
        for row in connection.execute(
            select(tombstones.c.external_id, tombstones.c.relisted, tombstones.c.ack_due_at).where(
                tombstones.c.source == source, tombstones.c.external_id.in_(ids)
            )
        )
    }
    fresh = []
    for item in chunk:
        external_id = item.external_id
        if external_id in known:
            known_event = known[external_id]
            if keep_variant(connection, now, known_event, item.row):
                added.changed.append(item.event)
            if source != OWN_SOURCE and complete_again(connection, now, known_event):
                added.returned.append(external_id)
        elif external_id not in buried:
            fresh.append(item)
        elif buried[external_id].ack_due_at is None and complete_pruned(
            connection, now, source, external_id, buried[external_id].relisted + 1
        ):
            added.returned.append(external_id)
    if fresh:
        _insert(connection, now, fresh, added, gatherings)


def _insert(
    connection: Connection,
    now: datetime,
    fresh: Sequence[_Listed],
    added: Added,
    gatherings: Mapping[str, Gathering],
) -> None:
    own = fresh[0].event.source == OWN_SOURCE
    more = {"stored_at": now, **({"acknowledged_at": now, "acknowledged_by": "nobody"} if own else {})}
    ids = connection.execute(
        insert(events).returning(events.c.id, sort_by_parameter_order=True), [{**item.row, **more} for item in fresh]
    ).scalars()
    wanted = []
    counts: list[Count] = []
    for event_id, item in zip(ids, fresh, strict=True):
        event, planned = item.event, item.planned
        added.new.append(event)
        if not planned.sinks:
            added.unrouted.append(event)
        counts.extend(Count.of_event(event, now, outcome="stored" if planned.sinks else "unrouted"))
        rows = [
            {"event_id": event_id, "sink": sink, **_state(planned, gatherings.get(sink), now)} for sink in planned.sinks
        ]
        if not planned.skip:
            added.woken.update(row["sink"] for row in rows if row["gathered"] != "late")
            added.late.update(row["sink"] for row in rows if row["gathered"] == "late")
        wanted += rows
    if wanted:
        connection.execute(insert(deliveries), wanted)
    count_up(connection, counts)


def _state(planned: Planned, gathering: Gathering | None, now: datetime) -> dict[str, Any]:
    """How a delivery begins."""
    if planned.skip:
        why = 'was already waiting at the first start (first_start = "record")'
        return {"state": "skipped", "due_at": None, "gathered": None, "settled_at": now, "reason": why}
    hold = None if gathering is None else gathering.hold(planned.incoming.event, now, first=planned.first)
    waits = {"state": "waiting", "due_at": now, "gathered": None, "settled_at": None, "reason": None}
    return waits if hold is None else waits | held(hold)
