"""Waits that are stored as moments, kept right when the clock they were counted with was not."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from daemon.tables import WAITING, deliveries

_WAITS = select(deliveries.c.id, deliveries.c.due_at, deliveries.c.tried_at).where(WAITING)
_MOVE: dict[str, Any] = {"due_at": bindparam("new_due_at"), "tried_at": bindparam("new_tried_at")}
_MOVED = update(deliveries).where(deliveries.c.id == bindparam("row_id")).values(_MOVE)


def shift_waits(connection: Connection, step: timedelta) -> None:
    """After the wall clock was set by `step`: what waits goes on waiting for as long as before."""
    moved = [
        {"row_id": row.id, "new_due_at": row.due_at + step, "new_tried_at": row.tried_at and row.tried_at + step}
        for row in connection.execute(_WAITS)
    ]
    if moved:
        connection.execute(_MOVED, moved)


def restore_waits(connection: Connection, now: datetime) -> None:
    """At start: a wait that began in the future was begun by a wrong clock, and begins now instead (I12)."""
    moved = []
    for row in connection.execute(_WAITS.where(deliveries.c.due_at > now)):
        began = row.tried_at or row.due_at
        if began > now:
            due_at = now + max(row.due_at - began, timedelta())
            moved.append({"row_id": row.id, "new_due_at": due_at, "new_tried_at": row.tried_at and now})
    if moved:
        connection.execute(_MOVED, moved)
