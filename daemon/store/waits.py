"""Waits that are stored as moments, kept right when the clock they were counted with was not."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, update

from daemon.columns import DAMAGED_TIME
from daemon.tables import WAITING, deliveries, events, tombstones

_PASSING = or_(
    deliveries.c.gathered.is_(None), deliveries.c.gathered.in_(["burst", "late"]), deliveries.c.tried_at.is_not(None)
)
"""What waits for a time of day instead is planned anew: see `daemon/store/gathered.py`."""
_WAITS = select(deliveries.c.id, deliveries.c.due_at, deliveries.c.tried_at).where(WAITING, _PASSING)
_MOVE: dict[str, Any] = {"due_at": bindparam("new_due_at"), "tried_at": bindparam("new_tried_at")}
_MOVED = update(deliveries).where(deliveries.c.id == bindparam("row_id")).values(_MOVE)

_POSTPONED = select(events.c.id, events.c.ack_due_at).where(
    events.c.acknowledged_at.is_(None), events.c.ack_due_at.is_not(None)
)
_POSTPONE = update(events).where(events.c.id == bindparam("row_id")).values(ack_due_at=bindparam("new_due_at"))
_RETURNED = select(tombstones.c.source, tombstones.c.external_id, tombstones.c.ack_due_at).where(
    tombstones.c.ack_due_at.is_not(None)
)
_RETURN = (
    update(tombstones)
    .where(tombstones.c.source == bindparam("its_source"), tombstones.c.external_id == bindparam("its_id"))
    .values(ack_due_at=bindparam("new_due_at"))
)


def shift_waits(connection: Connection, step: timedelta) -> None:
    """After the wall clock was set by `step`: what waits goes on waiting for as long as before."""
    moved = [
        {"row_id": row.id, "new_due_at": row.due_at + step, "new_tried_at": row.tried_at and row.tried_at + step}
        for row in connection.execute(_WAITS)
    ]
    if moved:
        connection.execute(_MOVED, moved)
    postponed = [{"row_id": row.id, "new_due_at": row.ack_due_at + step} for row in connection.execute(_POSTPONED)]
    if postponed:
        connection.execute(_POSTPONE, postponed)
    returned = [
        {"its_source": row.source, "its_id": row.external_id, "new_due_at": row.ack_due_at + step}
        for row in connection.execute(_RETURNED)
    ]
    if returned:
        connection.execute(_RETURN, returned)


def restore_waits(connection: Connection, now: datetime) -> None:
    """At start: a wait that began in the future was begun by a wrong clock, and begins now instead (I12).

    One whose end cannot be read is over.
    """
    moved = []
    for row in connection.execute(_WAITS.where(deliveries.c.due_at > now)):
        began = row.due_at if DAMAGED_TIME in (row.tried_at, row.due_at) else row.tried_at or row.due_at
        if began > now:
            due_at = now + max(row.due_at - began, timedelta())
            moved.append({"row_id": row.id, "new_due_at": due_at, "new_tried_at": row.tried_at and now})
    if moved:
        connection.execute(_MOVED, moved)
