"""Sending again what a person asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, case, insert, null, select, update

from daemon.contract import OWN_SOURCE
from daemon.store.database import Database
from daemon.store.events import CHUNK, named
from daemon.store.trials import TESTS
from daemon.tables import deliveries, events

REPLAYABLE = ("delivered", "rejected", "gave_up", "discarded", "skipped")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries are meant: all conditions must hold."""

    keys: Sequence[str] = ()
    """Event keys (`source:id`) or plain external ids; empty: any event."""
    sinks: Sequence[str] | None = None
    """None: every sink that has a delivery of the event."""
    states: Sequence[str] = REPLAYABLE
    since: datetime | None = None


class Replays:
    """Which deliveries a person means, and making those due again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replay(self, selection: Selection, *, add_to: Sequence[str] = ()) -> int:
        """Make deliveries due again, with their old id and a count of replays; how many. Completed events stay so.

        `add_to`: sinks that get the selected events even if they were not routed there.
        """

        def operation(connection: Connection, now: datetime) -> int:
            extra = [(sink, _missing(connection, selection, sink)) for sink in add_to]
            ids = list(connection.execute(_selected(selection)).scalars())
            for start in range(0, len(ids), CHUNK):
                chunk = deliveries.c.id.in_(ids[start : start + CHUNK])
                connection.execute(_AGAIN.where(chunk).values(due_at=now))
                connection.execute(_ACQUIT.where(events.c.id.in_(select(deliveries.c.event_id).where(chunk))))
            row = {"state": "waiting", "due_at": now, "reason": "sent on request", "replays": 1}
            added = [{**row, "sink": sink, "event_id": event_id} for sink, missing in extra for event_id in missing]
            if added:
                connection.execute(insert(deliveries), added)
            return len(ids) + len(added)

        return await self._database.write(operation)

    async def matching(self, selection: Selection, *, add_to: Sequence[str] = ()) -> int:
        """How many deliveries a replay would send."""

        def query(connection: Connection) -> int:
            missing = sum(len(_missing(connection, selection, sink)) for sink in add_to)
            return len(connection.execute(_selected(selection)).all()) + missing

        return await self._database.read(query)


_AGAIN = update(deliveries).values(
    state="waiting",
    reason="replay",
    failures=0,
    deaths=0,
    gathered=None,
    settled_at=None,
    replays=deliveries.c.replays + 1,
    # What was given up goes on where it got to; else the progress says that nothing is left to do.
    progress=case((deliveries.c.state == "gave_up", deliveries.c.progress), else_=null()),
)
_ACQUIT = update(events).where(events.c.deaths > 0).values(deaths=0)
"""Whoever asks for an event that killed us wants it tried anew."""


def _events_of(selection: Selection) -> Select[int]:
    query = select(events.c.id)
    if selection.keys:
        query = query.where(named(selection.keys))
    if selection.since is not None:
        query = query.where(events.c.stored_at >= selection.since)
    return query


def _selected(selection: Selection) -> Select[int]:
    query = select(deliveries.c.id).where(deliveries.c.state.in_(selection.states))
    if selection.sinks is not None:
        query = query.where(deliveries.c.sink.in_(selection.sinks))
    if selection.keys or selection.since is not None:
        query = query.where(deliveries.c.event_id.in_(_events_of(selection)))
    if not selection.keys:  # a test that a receiver cannot tell from the real thing must not come by accident
        query = query.where(deliveries.c.event_id.not_in(TESTS))
    return query.order_by(deliveries.c.id)


def _missing(connection: Connection, selection: Selection, sink: str) -> Sequence[int]:
    """The selected events that this sink has no delivery of; told by state, they have one elsewhere in that state."""
    has_one = select(deliveries.c.event_id).where(deliveries.c.sink == sink)
    query = _events_of(selection).where(events.c.id.not_in(has_one)).order_by(events.c.id)
    if not selection.keys:  # alerts, reports and tests go where they were sent to, and to nobody else by the dozen
        query = query.where(events.c.source != OWN_SOURCE)
    if set(selection.states) != set(REPLAYABLE):
        in_state = select(deliveries.c.event_id).where(deliveries.c.state.in_(selection.states))
        query = query.where(events.c.id.in_(in_state))
    return connection.execute(query).scalars().all()
