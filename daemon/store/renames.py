"""Sinks and sources that got another name: what was theirs stays theirs, and keeps the ids that receivers know."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, exists, func, select, update

from daemon.contract import delivery_id
from daemon.store.counters import move_counts
from daemon.store.database import Database
from daemon.store.discarding import discard
from daemon.store.facts import FACTS
from daemon.store.told import rename_notice, settle_notice
from daemon.store.upsert import put
from daemon.tables import counters, deliveries, events, meta, sinks, sources, tombstones, unidentified

Former = dict[str, list[tuple[str, int]]]
"""By present name: earlier ones, each for the rows below an id (of deliveries for a sink, of events for a source)."""

FORMER_SINKS = select(meta.c.value).where(meta.c.name == "renamed sinks").scalar_subquery()
FORMER_SOURCES = select(meta.c.value).where(meta.c.name == "renamed sources").scalar_subquery()
"""To be selected beside a delivery: `receivers_id` needs them."""


def receivers_id(row: Any, sink: str, *, event_id: int, row_id: int) -> str:
    """The id by which receivers know a delivery: made of the names at the time when it was stored (I6).

    `row` has source, external_id, former_sinks and former_sources; the ids are those of the two tables.
    """
    source = _name_at(row.former_sources, row.source, event_id)
    return delivery_id(source, row.external_id, _name_at(row.former_sinks, sink, row_id))


def _name_at(stored: str | None, name: str, row_id: int) -> str:
    if stored is None:
        return name
    return next((old for old, below in json.loads(stored).get(name, ()) if row_id < below), name)


def present_names(stored: str | None, name: str) -> list[str]:
    """The names that something may have which was once called so."""
    names = _former(stored)
    return [name, *(new for new, were in names.items() if any(old == name for old, _ in were))]


def _former(stored: str | None) -> Former:
    return {name: [(old, below) for old, below in were] for name, were in json.loads(stored or "{}").items()}


class Renames:
    """What `renamed_from` in the config brings about, at start."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def carry_out(self, of_sinks: Mapping[str, str], of_sources: Mapping[str, str]) -> dict[str, int]:
        """Move all that is stored from old names to new ones (given as new: old), all or none.

        Answers how many deliveries, or events, went to each new name; there is nothing left to move the next time.
        """

        def operation(connection: Connection, now: datetime) -> dict[str, int]:
            moved: dict[str, int] = {}
            for new, old in of_sinks.items():
                if _is_known(connection, sinks, old):
                    moved[new] = _rename_sink(connection, now, old, new)
            for new, old in of_sources.items():
                if _is_known(connection, sources, old):
                    moved[new] = _rename_source(connection, now, old, new)
            return moved

        return await self._database.write(operation)


def _is_known(connection: Connection, table: Table, name: str) -> bool:
    return bool(connection.execute(select(exists().where(table.c.name == name))).scalar())


_OF_HEALTH = ("alert.sink", "alert.source", "alert.completion")
_OF_EVENTS = ("alert.dead_letter", "alert.unidentified", "alert.returned", "alert.completed_elsewhere")
"""What the operator was told, by sink or source: of the state that it is in, and of what moves to the new name."""


def _rename_sink(connection: Connection, now: datetime, old: str, new: str) -> int:
    _remember(connection, "renamed sinks", deliveries.c.sink, deliveries.c.id, old, new)
    _hand_over(connection, sinks, old, new)
    move_counts(connection, counters.c.sink, old, new)
    for name_of in FACTS:
        if not _is_known(connection, meta, name_of(new)):
            connection.execute(update(meta).where(meta.c.name == name_of(old)).values(name=name_of(new)))
    other = deliveries.alias()
    has_one_too = exists().where(other.c.event_id == deliveries.c.event_id, other.c.sink == new)
    moved = connection.execute(update(deliveries).where(deliveries.c.sink == old, ~has_one_too).values(sink=new))
    # What still waits under the old name is owed, whatever once became of it under the new one.
    waits_still = exists().where(
        other.c.event_id == deliveries.c.event_id, other.c.sink == old, other.c.state == "waiting"
    )
    settled_unsent = deliveries.c.state.in_(["skipped", "gave_up", "discarded"])
    connection.execute(
        update(deliveries)
        .where(deliveries.c.sink == new, settled_unsent, waits_still)
        .values(state="waiting", due_at=now, settled_at=None, reason=None, failures=0)
    )
    discard(connection, now, f"its sink was renamed to {new}, which has this event already", deliveries.c.sink == old)
    return moved.rowcount


def _rename_source(connection: Connection, now: datetime, old: str, new: str) -> int:
    _remember(connection, "renamed sources", events.c.source, events.c.id, old, new)
    _hand_over(connection, sources, old, new)
    move_counts(connection, counters.c.source, old, new)
    moved = _move_rows(connection, events, "external_id", old, new)
    _move_rows(connection, tombstones, "external_id", old, new)
    _move_rows(connection, unidentified, "digest", old, new)
    # What stays under the old name was stored once more under the new one, before it was known to be the same source.
    reason = f"its source was renamed to {new}, which has this event already"
    left = events.c.source == old
    connection.execute(
        update(events)
        .where(left, events.c.acknowledged_at.is_(None))
        .values(acknowledged_at=now, acknowledged_by="nobody", ack_due_at=None, ack_reason=reason)
    )
    done = f"was delivered when its source was called {old}"
    discard(connection, now, done, _has_twin(new, old, "delivered"))
    discard(connection, now, reason, _has_twin(old, new, "delivered", "waiting"))
    return moved


def _has_twin(source: str, other_source: str, *states: str) -> ColumnElement[bool]:
    """Whether the same event went to the same sink from the other source too, and is in one of these states there."""
    event, twin_event, twin = events.alias(), events.alias(), deliveries.alias()
    same_event = (event.c.source == source, event.c.external_id == twin_event.c.external_id)
    return (
        exists()
        .where(event.c.id == deliveries.c.event_id, *same_event, twin_event.c.source == other_source)
        .where(twin.c.event_id == twin_event.c.id, twin.c.sink == deliveries.c.sink, twin.c.state.in_(states))
        .correlate(deliveries)
    )


def _move_rows(connection: Connection, table: Table, key: str, old: str, new: str) -> int:
    other = table.alias()
    twin = exists().where(other.c.source == new, other.c[key] == table.c[key])
    return connection.execute(update(table).where(table.c.source == old, ~twin).values(source=new)).rowcount


def _hand_over(connection: Connection, table: Table, old: str, new: str) -> None:
    """Give what is known of the old name to the new one, unless that has made experience of its own."""
    if _is_known(connection, table, new):
        connection.execute(delete(table).where(table.c.name == old))
        for kind in _OF_HEALTH:
            settle_notice(connection, f"{kind}:{old}")
    else:
        connection.execute(update(table).where(table.c.name == old).values(name=new))
        for kind in _OF_HEALTH:
            rename_notice(connection, f"{kind}:{old}", f"{kind}:{new}")
    for kind in _OF_EVENTS:
        rename_notice(connection, f"{kind}:{old}", f"{kind}:{new}")
    settle_notice(connection, f"alert.orphaned_{table.name}:{old}")


def _remember(connection: Connection, fact: str, name: Column[str], row_id: Column[int], old: str, new: str) -> None:
    stored = connection.execute(select(meta.c.value).where(meta.c.name == fact)).scalar()
    names = _former(stored)
    first_of_new = connection.execute(select(func.min(row_id)).where(name == new)).scalar()
    below = first_of_new or (connection.execute(select(func.max(row_id))).scalar() or 0) + 1
    names[new] = sorted([*names.pop(old, ()), (old, below), *names.get(new, ())], key=lambda one: one[1])
    put(connection, meta, {"name": fact, "value": json.dumps(names)})
