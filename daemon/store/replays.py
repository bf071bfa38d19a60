"""Sending again what a person asks for, and discarding what nobody wants any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, insert, select, update

from daemon.store.database import Database
from daemon.tables import deliveries, events

REPLAYABLE = ("delivered", "rejected", "gave_up", "discarded", "skipped")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries are meant: all conditions must hold."""

    keys: Sequence[str] = ()
    """Event keys (`source:id`) or plain external ids; empty: any event."""
    sinks: Sequence[str] = ()
    """Empty: every sink that has a delivery of the event."""
    states: Sequence[str] = REPLAYABLE
    since: datetime | None = None


class Replays:
    """What people do to deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replay(self, selection: Selection, *, add_to: Sequence[str] = ()) -> int:
        """Make deliveries due again, with their old id and a count of replays; how many.

        `add_to`: sinks that get the selected events even if they were not routed there.
        """

        def operation(connection: Connection, now: datetime) -> int:
            ids = list(connection.execute(_selected(selection)).scalars())
            for start in range(0, len(ids), 500):
                connection.execute(
                    update(deliveries)
                    .where(deliveries.c.id.in_(ids[start : start + 500]))
                    .values(
                        state="waiting",
                        due_at=now,
                        reason="replay",
                        failures=0,
                        deaths=0,
                        settled_at=None,
                        replays=deliveries.c.replays + 1,
                    )
                )
            return len(ids) + sum(_add(connection, now, selection, sink) for sink in add_to)

        return await self._database.write(operation)

    async def matching(self, selection: Selection, *, add_to: Sequence[str] = ()) -> int:
        """How many deliveries a replay would send."""

        def query(connection: Connection) -> int:
            missing = sum(len(_missing(connection, selection, sink)) for sink in add_to)
            return len(connection.execute(_selected(selection)).all()) + missing

        return await self._database.read(query)


def _events_of(selection: Selection) -> Select[tuple[int]]:
    query = select(events.c.id)
    if selection.keys:
        query = query.where(events.c.external_id.in_([key.split(":", 1)[-1] for key in selection.keys]))
        if sources := {key.split(":", 1)[0] for key in selection.keys if ":" in key}:
            query = query.where(events.c.source.in_(sources))
    if selection.since is not None:
        query = query.where(events.c.stored_at >= selection.since)
    return query


def _selected(selection: Selection) -> Select[tuple[int]]:
    query = select(deliveries.c.id).where(deliveries.c.state.in_(selection.states))
    if selection.sinks:
        query = query.where(deliveries.c.sink.in_(selection.sinks))
    if selection.keys or selection.since is not None:
        query = query.where(deliveries.c.event_id.in_(_events_of(selection)))
    return query.order_by(deliveries.c.id)


def _missing(connection: Connection, selection: Selection, sink: str) -> list[int]:
    """The selected events that have no delivery to this sink."""
    has_one = select(deliveries.c.event_id).where(deliveries.c.sink == sink)
    return [row.id for row in connection.execute(_events_of(selection).where(events.c.id.not_in(has_one)))]


def _add(connection: Connection, now: datetime, selection: Selection, sink: str) -> int:
    missing = _missing(connection, selection, sink)
    if missing:
        row = {"sink": sink, "state": "waiting", "due_at": now, "reason": "sent on request", "replays": 1}
        connection.execute(insert(deliveries), [{**row, "event_id": event_id} for event_id in missing])
    return len(missing)
