"""What came in: events with their deliveries, in one transaction; and what was set aside."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, insert, select, update

from daemon.contract import OWN_SOURCE, Event, Incoming, Unidentified
from daemon.retry import back_off
from daemon.store.counters import Count, count_up
from daemon.store.database import Database
from daemon.store.upsert import insert_missing
from daemon.tables import deliveries, events, sources, tombstones, unidentified, variants

FIRST_RELIST_WAIT, LONGEST_RELIST_WAIT = timedelta(seconds=30), timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Planned:
    """An event as listed, and the sinks it goes to."""

    incoming: Incoming
    sinks: tuple[str, ...]
    skip: bool = False
    """Store the deliveries as `skipped`: on record, replayable, but not sent."""


@dataclass(slots=True)
class Added:
    """What storing one page changed."""

    new: list[Event] = field(default_factory=list)
    unrouted: list[Event] = field(default_factory=list)
    woken: set[str] = field(default_factory=set)
    """Sinks that got something to do."""
    changed: list[Event] = field(default_factory=list)
    """Repeats with other content than the first."""
    returned: list[str] = field(default_factory=list)
    """Listed again although completed: ids that came back three times or more."""
    unidentified: int = 0


def data_text(data: Mapping[str, Any]) -> str:
    """How event data is stored: ASCII JSON, so that lone surrogates and odd numbers survive."""
    return json.dumps(data, ensure_ascii=True, separators=(",", ":"))


def digest_of(kind: str, channel: str | None, data: str, raw: str | None) -> bytes:
    """SHA-256 over what is stored of an event; finds changed repeats and damaged rows."""
    return sha256(json.dumps([kind, channel, data, raw]).encode()).digest()


class Events:
    """The incoming side of the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, source: str, planned: Sequence[Planned], *, aside: Sequence[Unidentified] = (), cursor: str | None = None
    ) -> Added:
        """Store new events with their deliveries and the cursor: all or none. A repeat changes nothing."""
        rows = [_row(item) for item in planned]

        def operation(connection: Connection, now: datetime) -> Added:
            added = Added()
            if rows:
                _add(connection, now, source, planned, rows, added)
            added.unidentified = _set_aside(connection, now, source, aside)
            if cursor is not None:
                connection.execute(update(sources).where(sources.c.name == source).values(cursor=cursor))
            return added

        return await self._database.write(operation)

    async def add_own(self, kind: str, external_id: str, data: Mapping[str, Any], sinks: Sequence[str]) -> Added:
        """Store something the daemon itself has to say; it is acknowledged nowhere."""
        now = self._database.clock()
        event = Event(OWN_SOURCE, external_id, None, kind, now, data)
        return await self.add(OWN_SOURCE, [Planned(Incoming(event), tuple(sinks))])


def _row(item: Planned) -> dict[str, Any]:
    event = item.incoming.event
    data = data_text(event.data)
    return {
        "source": event.source,
        "external_id": event.external_id,
        "channel": event.channel,
        "kind": event.kind,
        "occurred_at": event.occurred_at,
        "data": data,
        "raw": item.incoming.raw,
        "digest": digest_of(event.kind, event.channel, data, item.incoming.raw),
        "routed": len(item.sinks),
    }


def _add(
    connection: Connection,
    now: datetime,
    source: str,
    planned: Sequence[Planned],
    rows: Sequence[dict[str, Any]],
    added: Added,
) -> None:
    ids = [row["external_id"] for row in rows]
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
    fresh: list[tuple[Planned, dict[str, Any]]] = []
    taken: set[str] = set()
    for item, row in zip(planned, rows, strict=True):
        external_id = row["external_id"]
        if external_id in taken:
            continue
        taken.add(external_id)
        if external_id in known:
            _meet_again(connection, now, known[external_id], item, row, added)
        elif external_id not in buried:
            fresh.append((item, row))
        elif buried[external_id].ack_due_at is None:
            _meet_pruned(connection, now, source, external_id, buried[external_id].relisted + 1, added)
    if fresh:
        _insert(connection, now, fresh, added)


def _insert(
    connection: Connection, now: datetime, fresh: Sequence[tuple[Planned, dict[str, Any]]], added: Added
) -> None:
    own = fresh[0][0].incoming.event.source == OWN_SOURCE
    more = {
        "stored_at": now,
        "acknowledged_at": now if own else None,
        "acknowledged_by": "nobody" if own else None,
    }
    ids = connection.execute(
        insert(events).returning(events.c.id, sort_by_parameter_order=True), [{**row, **more} for _, row in fresh]
    ).scalars()
    wanted = []
    counts: Counter[Count] = Counter()
    for event_id, (item, _) in zip(ids, fresh, strict=True):
        event = item.incoming.event
        added.new.append(event)
        if not item.sinks:
            added.unrouted.append(event)
        counts[Count.of_event(event, now, outcome="stored" if item.sinks else "unrouted")] += 1
        for sink in item.sinks:
            wanted.append(
                {
                    "event_id": event_id,
                    "sink": sink,
                    "state": "skipped" if item.skip else "waiting",
                    "due_at": None if item.skip else now,
                    "settled_at": now if item.skip else None,
                    "reason": 'was already waiting at the first start (first_start = "record")' if item.skip else None,
                }
            )
            if not item.skip:
                added.woken.add(sink)
    if wanted:
        connection.execute(insert(deliveries), wanted)
    count_up(connection, counts)


def _meet_again(
    connection: Connection, now: datetime, known: Any, item: Planned, row: dict[str, Any], added: Added
) -> None:
    if known.digest != row["digest"]:
        variant = {name: row[name] for name in ("digest", "kind", "data", "raw")}
        if insert_missing(connection, variants, [{**variant, "event_id": known.id, "seen_at": now}]):
            added.changed.append(item.incoming.event)
    if known.acknowledged_at is not None:
        times = known.relisted + 1
        connection.execute(
            update(events)
            .where(events.c.id == known.id)
            .values(acknowledged_at=None, acknowledged_by=None, relisted=times, ack_due_at=now + _relist_wait(times))
        )
        if times >= 3:
            added.returned.append(row["external_id"])


def _meet_pruned(
    connection: Connection, now: datetime, source: str, external_id: str, times: int, added: Added
) -> None:
    connection.execute(
        update(tombstones)
        .where(tombstones.c.source == source, tombstones.c.external_id == external_id)
        .values(relisted=times, ack_due_at=now + _relist_wait(times))
    )
    if times >= 3:
        added.returned.append(external_id)


def _relist_wait(times: int) -> timedelta:
    """The first return is completed again at once, later ones ever more slowly."""
    if times == 1:
        return timedelta()
    return back_off(times - 1, first=FIRST_RELIST_WAIT, longest=LONGEST_RELIST_WAIT, spread=0)


def _set_aside(connection: Connection, now: datetime, source: str, aside: Iterable[Unidentified]) -> int:
    rows = [
        {
            "source": source,
            "digest": sha256(item.raw.encode("utf-8", "surrogatepass")).digest(),
            "raw": item.raw.encode("utf-8", "backslashreplace").decode(),
            "reason": item.reason,
            "seen_at": now,
        }
        for item in aside
    ]
    return insert_missing(connection, unidentified, rows) if rows else 0
